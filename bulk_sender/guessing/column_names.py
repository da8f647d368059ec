"""Common column names in English, French, German, Spanish, Italian, Portuguese and Japanese, and what they mean.

`init` uses them to guess a mapping. Names are compared without case, accents and punctuation: ``E-Mail``, ``e_mail``
and ``e mail`` are the same.
"""

from __future__ import annotations

import re
import unicodedata

IDENTIFIERS: dict[str, str] = {
    "external_user_id": "external user id|external id|braze external id|id externe|identifiant externe|externe id"
    "|id externo|id esterno|customer id|customer no|customer number|customer|client id"
    "|client no|client number|user id|userid|user|uid|member id|member no|member number|membership number|contact id"
    "|contact|crm id|subscriber id|id"
    "|identifiant|identifiant client|id client|numero client|numero de client|no client|code client|ref client"
    "|kundennummer|kunden nummer|kundennr|kunden nr|kd nr|kunden id|kundenid|kunde|mitgliedsnummer|nutzer id"
    "|id cliente|id de cliente|numero cliente|numero de cliente|codigo cliente|codigo de cliente|id usuario"
    "|codice cliente|n cliente|id utente|codice utente"
    "|id do cliente|numero do cliente|codigo do cliente|id do usuario"
    "|顧客番号|顧客id|会員番号|会員id|お客様番号|お客様id|ユーザーid|ユーザid|利用者id",
    "email": "email|e mail|mail|email address|e mail address|mail address"
    "|adresse email|adresse e mail|adresse mail|adresse electronique|courriel|mel"
    "|e mail adresse|email adresse|mailadresse|emailadresse|indirizzo email|indirizzo e mail|posta elettronica"
    "|e mailadres|emailadres|mailadres|adres e mail|adres email|e post|e postadress|e postadresse|mejl"
    "|correo|correo electronico|direccion de correo|endereco de email|endereco de e mail|endereco eletronico"
    "|メール|メールアドレス|eメール|電子メール",
    "braze_id": "braze id",
}

PROPERTIES: dict[str, str] = {
    "first_name": "first name|firstname|given name|forename|prenom|vorname|nombre|primer nombre|primeiro nome|nome"
    "|名|名前|お名前|氏名",
    "last_name": "last name|lastname|surname|family name|nom|nom de famille|nachname|familienname|name|apellido"
    "|apellidos|cognome|sobrenome|apelido|姓|苗字",
    "country": "country|country code|pays|code pays|land|landercode|pais|codigo pais|codigo do pais|paese|codice paese"
    "|国|国名",
    "language": "language|lang|locale|langue|sprache|idioma|lengua|lingua|言語",
    "home_city": "city|town|ville|commune|stadt|ort|wohnort|ciudad|citta|cidade|市|都市|市区町村",
    "gender": "gender|sex|sexe|genre|geschlecht|sexo|genero|sesso|genere|性別",
    "dob": "date of birth|birth date|birthdate|birthday|dob|date de naissance|naissance|geburtsdatum|geburtstag"
    "|geboren am|geb datum|fecha de nacimiento|nacimiento|data di nascita|data de nascimento|nascimento|生年月日"
    "|誕生日",
    "phone": "phone|phone number|mobile|mobile number|cell|telephone|tel|portable|numero de telephone|telefon|handy"
    "|telefonnummer|mobilnummer|mobiltelefon|mobil|telefono|telefono movil|movil|cellulare|telefone|telemovel|celular"
    "|telephone portable|telephone mobile|tel portable|tel mobile|mobile phone|handynummer|numero de telefono"
    "|contact number|contact no|電話|電話番号|携帯電話",
    "opted_in": "opt in|optin|opted in|newsletter|subscribed|consent|marketing consent|consentement|abonne|inscrit"
    "|einwilligung|angemeldet|consenso|iscritto|suscrito|consentimiento|consentimento|inscrito|オプトイン|同意|配信許可|メルマガ",
    "loyalty_tier": "loyalty|loyalty tier|tier|loyalty level|fidelite|niveau de fidelite|statut|niveau"
    "|treuestatus|treuestufe|kundenstatus|livello|livello fedelta|fidelidad|nivel de fidelidad|fidelidade"
    "|nivel de fidelidade|ランク|会員ランク",
    "loyalty_points": "points|loyalty points|balance|points de fidelite|solde|punkte|treuepunkte|punktestand|puntos"
    "|saldo|punti|punti fedelta|pontos|ポイント",
}
"""Property name → common names of its column."""

_LOOSE = frozenset(["customer", "client", "kunde", "user", "contact", "id", "identifiant"])

PROFILE_FIELDS = ("first_name", "last_name", "country", "language", "home_city", "gender", "dob", "phone")
"""Properties that are also standard profile fields in Braze (Braze: user attributes object)."""

_CODE_WORDS = (
    "zip postal postcode postleitzahl plz code codice codigo cod cp cap cep phone tel telephone telefon telefono "
    "telefone mobile cell handy no nr num number numero nummer sku ean isbn iban siret siren matricule reference ref "
    "id 郵便番号 番号 電話番号 コード"
)
_CODES = frozenset(_CODE_WORDS.split())
_LINKS = frozenset(["de", "du", "des", "del", "della", "di", "da", "do", "d", "l", "der", "the", "unique", "interne"])
_PEOPLE = (
    "customers?|clients?|kunden?|kd|cliente|clienti|klant|klienta?|kund|relatie|members?|membership|mitglieds?|adherent|membre|socio"
    "|users?|nutzer|benutzer|utilisateur|usuario|utente|subscriber|abonne|abonnenten?|suscriptor|debitoren?|debiteur|lid"
)
_KEYS = (
    "id|no|nr|n|num|number|numero|numer|nummer|code|codice|codigo|cod|kod|kennung|ref|reference|referenz|key"
    "|identifiant"
)
_NUMBERED_PERSON = re.compile(rf"(?:{_KEYS})(?:{_PEOPLE})|(?:{_PEOPLE})(?:{_KEYS})|(?:contact|contacto|kontakt)id")
"""The words of a name, joined: one means people, and one a number or a code, in either order."""
_ADDRESSES = frozenset(["mail", "email", "mailadresse", "emailadresse", "courriel", "correo"])


def plain(name: str) -> str:
    """Return a column's name without case, accents and punctuation; camel case is split into words."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", unicodedata.normalize("NFKC", name))
    bare = "".join(
        letter for letter in unicodedata.normalize("NFKD", apart.casefold()) if not ("\u0300" <= letter <= "\u036f")
    )
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFC", bare).replace("_", " ")))


def meaning(name: str, meanings: dict[str, str]) -> str | None:
    """Return the field that a column of this name means, or None."""
    return next((known for known, names in meanings.items() if plain(name) in names.split("|")), None)


def is_code(name: str) -> bool:
    """Whether digits in such a column are a code, not a number: a postcode, a telephone or an order number."""
    return not _CODES.isdisjoint(plain(name).split()) or meaning(name, PROPERTIES) == "phone"


def is_birth(name: str) -> bool:
    """Whether a column has dates of birth."""
    return meaning(name, PROPERTIES) == "dob" or plain(name) in ("ne le", "nee le")


def identifier_rank(name: str, kind: str) -> int | None:
    """Return how well a name says that a column holds this kind of identifier, 0 for best; None: it does not."""
    known, words = IDENTIFIERS[kind].split("|"), plain(name)
    if words in known:
        return known.index(words)
    parts = words.split()
    if kind == "external_user_id" and _NUMBERED_PERSON.fullmatch("".join(p for p in parts if p not in _LINKS)):
        return len(known)
    if kind == "email" and not _ADDRESSES.isdisjoint(parts):
        return len(known)
    return None


def is_loose(name: str) -> bool:
    """Whether people give this identifier's name to columns of people's names, too, as they do with "Kunde"."""
    return plain(name) in _LOOSE


def slug(name: str) -> str:
    """Return a property name for an unknown column: its words joined by underscores."""
    return plain(name).replace(" ", "_") or "column"
