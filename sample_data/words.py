"""What the synthetic people are called, where they live and what is written to them, one locale at a time.

Given names and real cities, put together at random: nobody in the samples exists. ``{order}`` in a message is
replaced by the row's order number.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Locale:
    """One language's words: they stay together in a row, so that a row reads like one person."""

    first_names: tuple[str, ...]
    cities: tuple[str, ...]
    messages: tuple[str, ...]


LOCALES = (
    Locale(
        ("Alice", "Oliver", "Maeve", "D'Arcy", "Jo-Ann", "Seán", "Imogen", "Rhys", "Beatrix", "Ted"),
        ("Leeds", "Cork", "Washington, D.C.", "Halifax", "Stratford-upon-Avon", "Perth"),
        (
            "Your order {order} is ready.",
            'We saved "your usual" for you, until Friday.',
            "Thanks for waiting, order {order} left today.\nTrack it in the app.",
            "See you soon, and bring a friend: it's on us.",
        ),
    ),
    Locale(
        ("Zoé", "François", "Élodie", "Anaïs", "Jérôme", "Maël", "Hélène", "Loïc", "Cœline", "Anne-Sophie"),
        ("Paris", "Besançon", "Saint-Étienne", "Liège", "L'Haÿ-les-Roses", "Genève"),
        (
            "Votre commande {order} est prête.",
            "Bonjour,\n\nvotre commande {order} vous attend en magasin.\nÀ bientôt !",
            "Un cadeau « surprise » vous attend, jusqu'à dimanche.",
            "Merci d'avoir patienté, {order} part aujourd'hui.",
        ),
    ),
    Locale(
        ("Jürgen", "Käthe", "Björn", "Änne", "Götz", "Weiß", "Liesel", "Jörg", "Ülkü", "Anja"),
        ("Köln", "München", "Groß-Gerau", "Zürich", "Frankfurt (Oder)", "Graz"),
        (
            "Ihre Bestellung {order} ist fertig.",
            "Wir freuen uns auf Sie, „bis bald“!",
            "Bestellung {order}: heute verschickt, morgen da.",
        ),
    ),
    Locale(
        ("Iñaki", "José", "María José", "Begoña", "Lucía", "Ángel", "Núria", "Íñigo", "Sofía", "Raúl"),
        ("Córdoba", "A Coruña", "Bogotá", "San José, C.R.", "Málaga", "Ciudad de México"),
        (
            "¡Tu pedido {order} está listo!",
            "¿Nos vemos pronto?\nTe guardamos tu sitio.",
            "Gracias, {order} sale hoy.",
        ),
    ),
    Locale(
        ("João", "Conceição", "Antônio", "Lourenço", "Inês", "Simão", "Flávia", "Tomé", "Graça", "Zulmira"),
        ("São Paulo", "Évora", "Brasília", "Guimarães", "Maceió"),
        ("O seu pedido {order} está pronto.", "Até já, esperamos por si.", "Obrigado: {order} segue hoje."),
    ),
    Locale(
        (
            "Łukasz",
            "Małgorzata",
            "Żaneta",
            "Świętosława",
            "Michał",
            "Jędrzej",
            "Åsa",
            "Søren",
            "Þóra",
            "Ðura",
        ),
        ("Łódź", "Kraków", "Gdańsk", "Malmö", "Århus", "Reykjavík"),
        (
            "Twoje zamówienie {order} jest gotowe.",
            "Do zobaczenia, czekamy!",
            "Zamówienie {order} wysłane dziś.",
        ),
    ),
    Locale(
        (
            "İlkay",
            "Çağla",
            "Gökşin",
            "Işıl",
            "Ömer",
            "Nguyễn Ánh",
            "Trần Đức",
            "Phạm Thảo",
            "Ștefan",
            "Ioana-Luța",
        ),
        ("İstanbul", "Şanlıurfa", "Đà Nẵng", "Hà Nội", "Iași"),
        (
            "Siparişiniz {order} hazır.",
            "Đơn hàng {order} đã sẵn sàng, hẹn gặp bạn.",
            "Comanda {order} e gata.",
        ),
    ),
    Locale(
        ("Ἑλένη", "Γιώργος", "Αθηνά", "Νίκος", "Ζωή", "Σωκράτης", "Ευρυδίκη", "Ιωάννα"),
        ("Αθήνα", "Θεσσαλονίκη", "Ηράκλειο", "Ιωάννινα"),
        ("Η παραγγελία {order} είναι έτοιμη.", "Σας περιμένουμε, καλή συνέχεια!"),
    ),
    Locale(
        ("Алёна", "Фёдор", "Любовь", "Ярослав", "Оксана", "Їжакевич", "Ђорђе", "Цветана"),
        ("Київ", "Алматы", "София", "Београд", "Йошкар-Ола"),
        ("Ваш заказ {order} готов, ждём вас!", "Замовлення {order} уже в дорозі.\nДо зустрічі!"),
    ),
    Locale(
        ("ليلى", "عبد الله", "فاطمة", "يوسف", "مريم", "خالد", "سُعاد", "نور"),
        ("القاهرة", "الدار البيضاء", "عمّان", "دبي"),
        ("طلبك رقم {order} جاهز، نراك قريبًا.", "شكرًا لك!\nالطلب {order} في الطريق."),
    ),
    Locale(
        ("נועה", "יוסף", "שָׂרָה", "אברהם", "תמר", "דוד", "רבקה"),
        ("תל אביב-יפו", "חיפה", "ירושלים", "באר שבע"),
        ("ההזמנה {order} מוכנה, נתראה בקרוב.", 'חיכינו לך "כרגיל" עד יום שישי.'),
    ),
    Locale(
        ("花子", "太郎", "さくら", "ユウキ", "髙橋", "美咲", "ﾊﾅｺ", "蓮"),
        ("東京都", "大阪市", "京都市", "つくば市"),
        (
            "ご注文 {order} の準備ができました。\nご来店をお待ちしております。",
            "「いつもの」をご用意しております。",
        ),
    ),
    Locale(
        ("小明", "欧阳雪", "麗華", "建國", "思齊", "子涵", "𠮷祥"),
        ("北京", "臺北市", "深圳", "西安"),
        ("您的订单 {order} 已备好，欢迎光临。", "感謝您的等候，訂單 {order} 今天寄出。"),
    ),
    Locale(
        ("지민", "서연", "하준", "민수", "유나", "도윤", "가은"),
        ("서울", "부산", "대구", "제주시"),
        ("주문 {order} 준비가 완료되었습니다.", "곧 뵙겠습니다,\n감사합니다."),
    ),
    Locale(
        ("प्रिया", "अर्जुन", "कृष्णा", "आदित्य", "दीक्षा", "श्रीनिवास", "தமிழ்", "লতা"),
        ("मुंबई", "दिल्ली", "चेन्नई", "कोलकाता"),
        ("आपका ऑर्डर {order} तैयार है।", "धन्यवाद, जल्द मिलेंगे!"),
    ),
    Locale(
        (
            "Zoë 🌻",
            "🦊 Fox",
            "Sam 👩‍🚀",
            "Noël 🎄",
            "Kit 🏳️‍🌈",
            "Re\u0301mi",
        ),  # the last one is a decomposed é
        ("Honolulu 🌺", "Nice ☀️", "Tromsø ❄️"),
        ("Order {order} is ready 🎉", "🚚💨 {order}", "We ❤️ you, see you on 🗓️ Friday"),
    ),
)

# Cells that break naive readers and writers: each is legal, and must arrive unchanged.
ODD_MESSAGES = (
    "=1+1 is how a formula starts",
    "+3 points for you",
    "-10 % on everything",
    "@home or in the shop, as you like",
    'He said "yes", she said ""maybe""',
    "one, two,, three,",
    "first line\n\nthird line\n",
    "a tab\there, a backslash \\ and a 'quote'",
    "Hello {{ first_name }}, {% if x %}literally{% endif %}",
    '{"looks": ["like", "JSON"]}',
    "<p>5 &lt; 6 &amp; 7 > 6</p>",
    "null",
    "NaN",
    "N/A",
    "  two spaces before and after  ",
    "a non-breaking\u00a0space, a zero\u200bwidth one, and a\u2028line separator",
    "; semicolons ; are ; not ; separators ; here",
    "# not a comment",
    "Long: " + "so that a batch is not only short strings, " * 12 + "the end.",
)

TIERS = ("bronze", "silver", "gold", "platinum")
INTERESTS = ("running", "cinema", "cooking", "garden & balcony", "jazz", "bande dessinée", "将棋", "travel")
PRODUCTS = (
    ("SKU-0001", "29.90"),
    ("SKU-0002", "0.10"),
    ("SKU-0017", "149.00"),
    ("SKU-0420", "7.50"),
    ("0099-A", "1249.99"),
)
COUNTRIES = ("FR", "FR", "FR", "BE", "CH", "DE", "CA")
PLANS = ("starter", "team", "enterprise")
STORES = (
    ("Rive gauche", "75006", "Paris"),
    ("Nord", "02100", "Saint-Quentin"),
    ("Südring", "01069", "Dresden"),
)
