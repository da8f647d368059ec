"""Words for consent and for totals in English, French, German, Spanish, Italian, Portuguese and Japanese."""

from __future__ import annotations

from bulk_sender.guessing.column_names import PROPERTIES, plain

_OPT_IN_NAMES = """
email opt in|e mail opt in|sms opt in|push opt in|marketing opt in|opt in email|newsletter opt in|email consent
email marketing|marketing|accepts marketing|accepts email marketing|gdpr|gdpr consent|rgpd|dsgvo|optin email
email subscribe|push subscribe|email subscribed|subscription|subscription status|subscription state
abonnement|abonniert|newsletter abonniert|werbeeinwilligung|zustimmung|inscription|consenso|iscritto|suscripcion
"""
_OPT_OUT_NAMES = """
opt out|optout|opted out|unsubscribed|unsubscribe|email opt out|sms opt out|do not contact|do not email|dnc
suppressed|blacklist|blacklisted|blocked|no marketing|desabonne|desinscrit|opposition|ne pas contacter|stop
abgemeldet|abmeldung|gesperrt|werbesperre|baja|no contactar|descadastrado|cancelado|disiscritto
配信停止|オプトアウト|退会
"""
_NO_WORDS = """
no|n|non|nein|não|nao|nej|nee|false|f|off|0|0.0|faux|falsch|falso|opted_out|opted out|opt-out|unsubscribed
not subscribed|désabonné|désabonnée|desabonne|désinscrit|désinscrite|abgemeldet|nicht angemeldet|disiscritto
baja|いいえ|無|不可|否|×
"""
_YES_WORDS = """
yes|y|oui|o|ja|j|si|sí|sì|s|sim|true|t|on|1|1.0|x|vrai|wahr|verdadero|vero|verdadeiro|opted_in|opted in|opt-in
subscribed|abonné|abonnée|inscrit|inscrite|angemeldet|abonniert|iscritto|suscrito|はい|有|可|○|✓
"""


def _words(lines: str) -> frozenset[str]:
    return frozenset(word for line in lines.split("\n") for word in line.split("|") if word)


_OPT_IN = _words(_OPT_IN_NAMES) | _words(PROPERTIES["opted_in"])
_OPT_OUT = _words(_OPT_OUT_NAMES)
_NO = _words(_NO_WORDS)
_YES = _words(_YES_WORDS)

TOTAL = (
    r"(?i)^\s*(?:grand\s+total|sub-?total|totals?|total\s+g[ée]n[ée]ral|totaux|sous-total|(?:gesamt|zwischen)?summe"
    r"|gesamt(?:anzahl)?|somme|totale|totali|suma|suma\s+total|soma|totaal|合計|総計|小計)[\s:]*$"
)
"""A cell that holds the word for a total."""


def refusals(name: str) -> frozenset[str]:
    """Return the answers, in lower case, that refuse a message in a column of this name; none for other columns."""
    words = plain(name.rpartition(".")[2])
    if words in _OPT_OUT:
        return _YES | {"opted_out", "unsubscribed"}
    return _NO if words in _OPT_IN else frozenset()


def agrees(name: str, answer: str) -> bool:
    """Whether an answer in a column of this name agrees to a message."""
    words, said = plain(name.rpartition(".")[2]), answer.strip().lower()
    return said in _NO if words in _OPT_OUT else words in _OPT_IN and said in _YES
