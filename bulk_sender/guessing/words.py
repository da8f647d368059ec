"""Words for consent and for totals in English, French, German, Spanish, Italian, Portuguese and Japanese.

Those for consent are also in Dutch, Polish and Scandinavian languages.
"""

from __future__ import annotations

import re
from functools import cache

import polars as pl

from bulk_sender.guessing.column_names import PROPERTIES, meaning, plain
from bulk_sender.recipients.convert import FALSE, TRUE

_OPT_IN = re.compile(
    r"""
      \b(?:opt(?:ed)?\ ?in|newsletters?|news\ letter|mailings?|subscri|consent|consens|einwillig|zustimm|abonn|inscri
        |angemeldet|anmeldung|suscri|iscri|accept|acepta|accett|publicit|publicid|pubblicit|werbe|werbung|gdpr|rgpd|dsgvo
        |permission|push\ subscribe|nieuwsbrief|infolettre|accord|autoris|autoriz|toestemming|einverst|erlaub|agreed
        |samtyck|samtykke|zgod|souhlas|boletin|aceita|aangemeld|nyhe[td]sbrev|subskry|lopd\b|rodo\b
        |recibir\b|receber\b|ricevere\b|recevoir\b|ontvang)
    | (?:einwilligung|zustimmung|newsletter)\b
    | ^marketing$|\b(?:mail|email|sms|push)\ marketing|\bmarketing\ (?:e\ ?mails?|sms|push|ok|allowed|erlaubt)
    | オプトイン|同意|配信許可|メルマガ
    """,
    re.VERBOSE,
)
_OPT_OUT = re.compile(
    r"""
      \b(?:opt(?:ed)?\ ?out|un\ ?subscri|desabonn|desinscri|abgemeldet|abmeldung|abbestell|gesperrt|widerruf|dnc\b
        |do\ not|ne\ pas|black\ ?list|lista\ negra
        |block(?:ed|list)|bloqu|suppress|opposition|oposici|disiscri|baja\b|descadastr|cancelado\b|cancellato\b|stop\b
        |refus|widerspr|afgemeld|uitgeschreven|bezwaar\b|wypisan|rezygnac|sprzeciw|avregistr|frameld)
    | (?:sperre|widerspruch)\b
    | 配信停止|オプトアウト|退会
    """,
    re.VERBOSE,
)
"""A column's name, or a part of it, that asks whether somebody agreed, and whether somebody refused."""
_NOT = re.compile(
    r"""
    \b(?:no|not|non|nao|ne|pas|nie|niet|nicht|keine?[nrs]?|geen|without|sans|sin|senza|sem|ohne|zonder|brak|bez|inte|ikke)
    \ (?:\w+\ )?$
    """,
    re.VERBOSE,
)
"""What stands before a consent that a column denies, such as "Keine Einwilligung"."""
_MESSAGE = re.compile(
    r"\b(?:contact|kontakt|contatt|marketing|mail|email|e\ mail|publi|werb|envi|envoy|invi|wysył|anschreib|anruf)"
)
_TAKEN_BACK = re.compile(
    r"\b(?:withdr|denied|declin|revo[ck]|retire|widerruf|abgelehnt|negat|deneg|rechaz|rifiut|recus|ingetrokken|geweigerd"
    r"|cofni|wycof|odmow)"
)
_SUBSCRIBED = """
opted_in|opted in|opt-in|optin|subscribed|abonné|abonnée|inscrit|inscrite|angemeldet|abonniert|iscritto|suscrito
accepté|accordé|erteilt|granted|accepted
"""
_UNSUBSCRIBED = """
opted_out|opted out|opt-out|optout|unsubscribed|not subscribed|désabonné|désabonnée|desabonne|désinscrit|désinscrite
abgemeldet|nicht angemeldet|disiscritto|baja|refusé|abgelehnt|denied
"""


def _words(lines: str) -> frozenset[str]:
    return frozenset(word for line in lines.split("\n") for word in line.split("|") if word)


_YES = frozenset([*TRUE, "1.0", "x", "有", "可", "○", "✓", "✔"])
_NO = frozenset([*FALSE, "0.0", "無", "不可", "否", "×"])
_IN, _OUT = _words(_SUBSCRIBED), _words(_UNSUBSCRIBED)

TOTAL = (
    r"(?i)^\s*(?:grand\s+total|sub-?total|totals?|total\s+g[ée]n[ée]ral|totaux|sous-total|(?:gesamt|zwischen)?summe"
    r"|gesamt(?:anzahl)?|insgesamt|somme|totale(?:\s+generale)?|totali|suma|suma\s+total|total\s+geral|soma|totaal"
    r"|合計|総計|小計)[\s:=]*(?:\(?[0-9][0-9\s.,'’]*\)?)?\s*$"
)
"""A cell that holds the word for a total, perhaps with the total itself."""


@cache
def asks(name: str) -> bool | None:
    """Return whether a column of this name asks for consent; False: for a refusal; None: for neither."""
    words = plain(name.rpartition(".")[2])
    agrees = _OPT_IN.search(words)
    is_denied = any(
        _NOT.search(words[: found.start()]) for each in (_OPT_IN, _MESSAGE) for found in each.finditer(words)
    )
    if _OPT_OUT.search(words) or is_denied or (agrees and _TAKEN_BACK.search(words)):
        return False
    return True if agrees else None


def refusals(name: str) -> frozenset[str]:
    """Return the answers, in lower case, that refuse a message in a column of this name; none for other columns."""
    consent = asks(name)
    return frozenset() if consent is None else (_NO if consent else _YES) | _OUT


def consents(name: str) -> frozenset[str]:
    """Return the answers, in lower case, that agree to a message in a column of this name; none for other columns."""
    consent = asks(name)
    return frozenset() if consent is None else (_YES if consent else _NO) | _IN


def asks_who_refused(name: str) -> bool:
    """Whether an empty cell in a column of this name agrees to a message, as in "Opt-out"."""
    return asks(name) is False


def is_question(name: str) -> bool:
    """Whether a name alone says that a column is about consent, whatever its values."""
    return re.search(r"\bopt ?(?:in|out)\b", plain(name)) is not None or meaning(name, PROPERTIES) == "opted_in"


def may_answer(name: str, dtype: pl.DataType) -> bool:
    """Whether a column is about consent by its name, and its type can hold answers."""
    can = dtype in (pl.String, pl.Boolean, pl.Categorical, pl.Enum) or dtype.is_integer()
    return can and asks(name) is not None
