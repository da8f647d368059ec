"""The page of the report, section by section.

In Python, because loading a template language and compiling the page took a tenth of a small send. Each section begins
and ends with its own lines. What comes from outside gets into markup only through ``html``, which escapes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from markupsafe import Markup

from bulk_sender.text.clean import clean
from bulk_sender.text.markup import NOTHING, html, joined
from bulk_sender.text.masking import mask_in
from bulk_sender.text.numbers import duration, number, share
from bulk_sender.text.times import clock

if TYPE_CHECKING:
    from datetime import datetime

    from bulk_sender.reporting import advice
    from bulk_sender.reporting.reasons import Example, Reason, Reasons
    from bulk_sender.reporting.report.charts import Chart
    from bulk_sender.reporting.report.page import Report
    from bulk_sender.reporting.report.timeline import Bucket


def page(report: Report, style: str, policy: str) -> str:
    """Return the whole page. ``style``: its stylesheet. ``policy``: its content security policy."""
    run = report.summary
    return html(
        """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<meta name="referrer" content="no-referrer">
<title>{}: {}</title>
<link rel="icon" href="data:,">
<style>{}</style>
</head>
<body>
<main>

{}
{}
{}
{}
{}
{}
{}
{}
{}
</main>
</body>
</html>""",
        policy,
        run.run_id,
        report.headline,
        Markup(style),  # noqa: S704 - the program's own
        _head(report),
        _broadcast(report, report.broadcast) if report.broadcast else _rows(report),
        _rejections(report.rejections),
        _refusals(report.refusals),
        _remarks(report.remarks),
        _over_time(report) if report.timeline.buckets and not report.broadcast else NOTHING,
        _history(report),
        _settings(report),
        _foot(report),
    )


# --- parts of several sections --------------------------------------------------------------------------------------


def _figure(value: int) -> Markup:
    return html('<data value="{}">{}</data>', value, f"{value:,}")


def _moment(at: str | datetime) -> Markup:
    return html('<time datetime="{}">{}</time>', at, clock(at))


def _outside(text: str) -> Markup:
    """Text from outside, whose direction does not turn what is around it."""
    return html("<bdi>{}</bdi>", text)


def _command(text: str) -> Markup:
    return joined((html("<span>{}</span>", word) for word in text.split(" ")), " ")


def _chip(name: str) -> Markup:
    return html(
        '<svg class="chip" aria-hidden="true" viewBox="0 0 10 10">'
        '<rect class="{}" x="1" y="1" width="8" height="8"/></svg>',
        name,
    )


def _steps(count: advice.Count) -> Markup:
    if not count.steps:
        return NOTHING
    items = joined(
        html(
            "          <li>{}{}</li>\n",
            step.words,
            html(' <code class="command">{}</code>', _command(step.command)) if step.command else NOTHING,
        )
        for step in count.steps
    )
    return html('<ul class="steps" role="list">\n{}        </ul>', items)


def _plural(count: int, one: str, many: str = "") -> str:
    return one if count == 1 else many or f"{one}s"


def _fact(name: str, value: Markup) -> Markup:
    return html("    <div><dt>{}</dt><dd>{}</dd></div>\n", name, value)


# --- what happened --------------------------------------------------------------------------------------------------


def _head(report: Report) -> Markup:
    run = report.summary
    notes, facts = NOTHING, NOTHING
    if report.weather:
        notes += html(
            '  <p class="note">A rehearsal: everything was sent to the built-in sandbox (weather “{}”), '
            "nothing to Braze.</p>\n",
            _outside(report.weather),
        )
    if report.reason:
        why = "Held by" if run.state == "running" else "Why"
        notes += html('  <p class="note" id="reason"><strong>{}:</strong> {}</p>\n', why, _outside(report.reason))
    name = html("{}, ", _outside(report.target_name)) if report.target_name else NOTHING
    facts += html('    <div><dt>State</dt><dd id="state">{}</dd></div>\n', run.state)
    facts += _fact(report.target_kind, name + _outside(report.target))
    if not report.weather:
        facts += _fact("Endpoint", _outside(report.endpoint))
    if run.started_at:
        facts += _fact("Started, UTC", _moment(run.started_at))
    if run.finished_at:
        facts += _fact("Ended, UTC", _moment(run.finished_at))
    took = html('<data id="elapsed_s" value="{}">{}</data>', run.elapsed_s, duration(run.elapsed_s))
    facts += _fact("Duration", took)
    if not report.broadcast:
        speed = run.recipients_per_s
        facts += _fact(
            "Accepted rows per second", html('<data id="recipients_per_s" value="{}">{}</data>', speed, number(speed))
        )
    return html(
        """\
<header>
  <p class="kicker">Report of the run</p>
  <h1>{}</h1>
  <p class="headline {}">{}</p>
{}  <dl class="facts">
{}  </dl>
</header>
""",
        run.run_id,
        run.state,
        report.headline,
        notes,
        facts,
    )


def _broadcast(report: Report, count: advice.Count) -> Markup:
    sent = report.summary.broadcast
    assert sent is not None
    about = NOTHING
    if sent.error:
        status = html("HTTP {}: ", sent.http_status) if sent.http_status else NOTHING
        about += html('  <p class="note">{}{}</p>\n', status, _outside(mask_in(clean(sent.error))))
    if sent.dispatch_id:
        about += html("  <p>dispatch_id: <code>{}</code></p>\n", _outside(sent.dispatch_id))
    if sent.sent_at:
        about += html(
            '  <p class="aside">{} {} at {} UTC</p>\n',
            _figure(sent.attempts),
            _plural(sent.attempts, "request", "requests, the last"),
            _moment(sent.sent_at),
        )
    return html(
        """\
<section aria-labelledby="broadcast">
  <h2 id="broadcast">{} What happened to the broadcast</h2>
  <p>{}</p>
{}  {}
</section>
""",
        _chip(count.status),
        count.meaning,
        about,
        _steps(count),
    )


def _rows(report: Report) -> Markup:
    rows = report.summary.rows
    shares = joined((html(" {} {}", it.name, share(it.rows, rows)) for it in report.counts if it.rows), ",")
    slices = joined(
        html('    <rect class="{}" x="{}%" width="{}%" height="100%"/>\n', it.status, it.left, it.width)
        for it in report.slices
    )
    more = NOTHING
    if any(count.is_trouble for count in report.counts):
        more = html(
            '  <p class="aside">Every row is in <a href="results.{}">results.{}</a>. '
            "Everything known about one row: <code>{}</code></p>\n",
            report.kind,
            report.kind,
            _command(report.explain),
        )
    return html(
        """\
<section aria-labelledby="rows">
  <h2 id="rows">What happened to {} {}</h2>
  <svg class="account" role="img" aria-label="Bar over all rows:{}.">
{}  </svg>
  <ul class="counts" role="list">
{}  </ul>
{}</section>
""",
        _figure(rows),
        _plural(rows, "row"),
        shares,
        slices,
        joined(_count(count, rows) for count in report.counts),
        more,
    )


def _count(count: advice.Count, rows: int) -> Markup:
    about = NOTHING
    if count.rows or count.steps:
        about = html("      <div>\n        <p>{}</p>\n        {}\n      </div>\n", count.meaning, _steps(count))
    return html(
        """\
    <li class="{}" data-status="{}">
      <p class="figure">{}</p>
      <h3>{} {}{}</h3>
{}    </li>
""",
        "trouble" if count.is_trouble else "fine" if count.rows else "none",
        count.status,
        _figure(count.rows),
        _chip(count.status),
        count.name,
        html(' <span class="share">{}</span>', share(count.rows, rows)) if count.rows else NOTHING,
        about,
    )


# --- why ------------------------------------------------------------------------------------------------------------


def _rejections(reasons: Reasons) -> Markup:
    if not reasons.shown:
        return NOTHING
    items = joined(
        html(
            """\
    <li>
      <h3><code>{}</code>{}</h3>
      <p class="tally">{} {}</p>
{}    </li>
""",
            _outside(reason.code),
            html(" {}", _outside(reason.what)) if reason.what else NOTHING,
            _figure(reason.rows),
            _plural(reason.rows, "row"),
            _examples(html("{}{}", _who(it), _outside(it.error)) for it in reason.examples),
        )
        for reason in reasons.shown
    )
    return _reasons("rejections", "Why rows were rejected", NOTHING, items, _other_rows(reasons))


def _refusals(reasons: Reasons) -> Markup:
    if not reasons.shown:
        return NOTHING
    items = joined(
        html(
            "    <li>\n{}{}    </li>\n",
            _answer(reason),
            _examples(html("{}of {}", _who(it), _outside(it.of)) for it in reason.examples),
        )
        for reason in reasons.shown
    )
    return _reasons("refusals", "Why rows failed or are unknown", NOTHING, items, _other_rows(reasons))


def _remarks(remarks: Reasons) -> Markup:
    if not remarks.shown:
        return NOTHING
    lead = html('  <p class="aside">Braze accepted these requests, and reported errors that name no row.</p>\n')
    items = joined(html("    <li>\n{}    </li>\n", _answer(remark)) for remark in remarks.shown)
    others = NOTHING
    if remarks.others:
        others = html('  <p class="aside">And other texts for {} more requests.</p>\n', _figure(remarks.others))
    return _reasons("remarks", "Errors beside success", lead, items, others)


def _reasons(id_: str, title: str, lead: Markup, items: Markup, others: Markup) -> Markup:
    return html(
        """\
<section aria-labelledby="{}">
  <h2 id="{}">{}</h2>
{}  <ul class="reasons" role="list">
{}  </ul>
{}</section>
""",
        id_,
        id_,
        title,
        lead,
        items,
        others,
    )


def _answer(reason: Reason) -> Markup:
    return html(
        """\
      <h3>{} {} <code>{}</code></h3>
      <p class="tally">{} {} in {} {}</p>
      <p>{}</p>
""",
        _chip(reason.status),
        reason.status,
        _outside(reason.code),
        _figure(reason.rows),
        _plural(reason.rows, "row"),
        _figure(reason.requests),
        _plural(reason.requests, "request"),
        _outside(reason.what),
    )


def _examples(examples: Iterable[Markup]) -> Markup:
    items = joined(html("        <li>{}</li>\n", example) for example in examples)
    return html('      <ul class="examples" role="list">\n{}      </ul>\n', items)


def _who(example: Example) -> Markup:
    who = html('<span class="who">{}</span> ', _outside(example.identifier)) if example.identifier else NOTHING
    return html('<span class="row">{}</span> {}', example.rows, who)


def _other_rows(reasons: Reasons) -> Markup:
    if not reasons.others:
        return NOTHING
    return html(
        '  <p class="aside">And {} more reasons, for {} rows.</p>\n',
        _figure(reasons.others),
        _figure(reasons.other_rows),
    )


# --- over time ------------------------------------------------------------------------------------------------------


def _over_time(report: Report) -> Markup:
    over_time = report.timeline
    charts = NOTHING
    if report.no_charts:
        charts += html('  <p class="aside" id="no-charts">{}</p>\n', report.no_charts)
    if report.throughput:
        charts += _throughput(report, report.throughput)
    if report.latency:
        charts += _latency(report, report.latency)
    return html(
        """\
<section aria-labelledby="time">
  <h2 id="time">Requests over time</h2>
{}  <details{}>
    <summary>{}, every {}</summary>
    <div class="scroll" tabindex="0" role="region" aria-label="Requests and response times over time">
    <table>
      <thead>
        <tr><th scope="col">From, UTC</th><th scope="col">Requests</th>{}<th scope="col">Requests/s</th>\
<th scope="col">Rows/s</th><th scope="col">p50</th><th scope="col">p95</th></tr>
      </thead>
      <tbody>
{}      </tbody>
    </table>
    </div>
  </details>
</section>

{}
{}""",
        charts,
        NOTHING if report.throughput else Markup(" open"),
        "The same data as a table" if report.throughput else "As a table",
        duration(over_time.width_s),
        joined(html('<th scope="col">{}</th>', words) for words in report.groups.values()),
        joined(_bucket(report, bucket) for bucket in over_time.buckets),
        _waits(report),
        _requests(report),
    )


def _bucket(report: Report, bucket: Bucket) -> Markup:
    return html(
        '        <tr><th scope="row">{}</th><td>{}</td>{}<td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n',
        report.clock_of(bucket),
        _figure(bucket.sent),
        joined(html("<td>{}</td>", _figure(bucket.requests(group))) for group in report.groups),
        number(bucket.per_second(bucket.sent)),
        number(bucket.per_second(bucket.recipients)),
        duration(bucket.p50_s) if bucket.p50_s is not None else "–",
        duration(bucket.p95_s) if bucket.p95_s is not None else "–",
    )


def _throughput(report: Report, chart: Chart) -> Markup:
    legend = joined(html("        <li>{} {}</li>\n", _chip(group), words) for group, words in report.groups.items())
    if report.timeline.pauses:
        legend += html("        <li>{} no request left</li>\n", _chip("pause"))
    if len(report.timeline.parts) > 1:
        legend += Markup(
            '        <li><svg class="chip" aria-hidden="true" viewBox="0 0 10 10"><path class="joint" d="M5 0v10"/>'
            "</svg> stopped and resumed later</li>\n"
        )
    asked = html(
        "Asked for: {}{}. One request holds up to 50 recipients.",
        number(report.asked_per_s),
        " (dashed line)" if report.asked_is_drawn else "",
    )
    return _chart("Requests a second", asked, legend, chart)


def _latency(report: Report, chart: Chart) -> Markup:
    about = html("In {}, from a request’s start to the end of its answer, without 429s.", report.latency_unit)
    legend = joined(
        html(
            '        <li><svg class="chip" aria-hidden="true" viewBox="0 0 20 10"><path class="{}" d="M0 5h20"/></svg> '
            "{} were faster ({})</li>\n",
            *line,
        )
        for line in (("line", "half", "p50"), ("line thin", "95 of 100", "p95"))
    )
    return _chart("Response time", about, legend, chart)


def _chart(title: str, about: Markup, legend: Markup, chart: Chart) -> Markup:
    return html(
        """\
  <figure>
    <figcaption>
      <h3>{}</h3>
      <p>{}</p>
      <ul class="legend" role="list">
{}      </ul>
    </figcaption>
    <div class="wide">{}</div>
    <div class="narrow">{}</div>
  </figure>
""",
        title,
        about,
        legend,
        Markup(chart.wide),  # noqa: S704 - drawn by the program
        Markup(chart.narrow),  # noqa: S704
    )


def _waits(report: Report) -> Markup:
    over_time = report.timeline
    if report.throttled:
        throttled = html(
            "{} {} a 429 (over the rate limit). That costs a wait and nothing else.",
            _figure(report.throttled),
            _plural(report.throttled, "answer was", "answers were"),
        )
    else:
        throttled = Markup("No answer was a 429: the rate limit was never exceeded.")
    if report.unconnected:
        throttled += html(
            " {} {} found no connection to Braze.", _figure(report.unconnected), _plural(report.unconnected, "request")
        )
    if report.troubled:
        throttled += html(
            " {} {} of Braze.",
            _figure(report.troubled),
            _plural(report.troubled, "answer was a temporary error", "answers were temporary errors"),
        )
    if report.unconnected or report.troubled:
        throttled += Markup(" After each, the next attempt waits, and fewer requests go at once.")
    shortest = duration(over_time.shortest_pause_s)
    if over_time.pauses:
        several = f"{len(over_time.pauses):,} pauses" if len(over_time.pauses) > 1 else "One pause"
        pauses = html(
            """\
  {} of {} or longer, {} in total.</p>
  <div class="scroll" tabindex="0" role="region" aria-label="The longest pauses">
  <table>
    <caption>The longest pauses</caption>
    <thead><tr><th scope="col">From, UTC</th><th scope="col">For</th><th scope="col" class="words">Why</th></tr></thead>
    <tbody>
{}    </tbody>
  </table>
  </div>
""",
            several,
            shortest,
            duration(over_time.paused_s),
            joined(
                html(
                    '      <tr><th scope="row">{}</th><td>{}</td><td class="words">{}</td></tr>\n',
                    _moment(pause.at),
                    duration(pause.seconds),
                    pause.why,
                )
                for pause in over_time.longest_pauses
            ),
        )
    else:
        pauses = html("  No pause lasted {} or longer.</p>\n", shortest)
    return html(
        """\
<section aria-labelledby="waits">
  <h2 id="waits">Waits</h2>
  <p>{}
{}</section>
""",
        throttled,
        pauses,
    )


def _requests(report: Report) -> Markup:
    run = report.summary
    split = NOTHING
    if report.split:
        split = html(
            "; {} more {} split into halves to find the rows that Braze refuses",
            _figure(report.split),
            _plural(report.split, "was", "were"),
        )
    answers = joined(
        html(
            '      <tr><th scope="row" class="words">{}</th><td>{}</td><td class="words">{}</td><td>{}</td></tr>\n',
            answer.verdict.replace("_", " "),
            answer.http_status or "–",
            html("<code>{}</code>", _outside(answer.code)) if answer.code else "–",
            _figure(requests),
        )
        for answer, requests in report.timeline.answers.most_common()
    )
    attempts = joined(
        html('      <tr><th scope="row">{}</th><td>{}</td></tr>\n', item.attempts, _figure(item.batches))
        for item in report.attempts
    )
    return html(
        """\
<section aria-labelledby="requests">
  <h2 id="requests">Requests</h2>
  <p>{} {} for {} {}{}.</p>
  <div class="pair">
  <div class="scroll" tabindex="0" role="region" aria-label="Outcome of requests">
  <table>
    <caption>Outcome</caption>
    <thead><tr><th scope="col" class="words">Outcome</th><th scope="col">HTTP</th>\
<th scope="col" class="words">Code</th><th scope="col">Requests</th></tr></thead>
    <tbody>
{}    </tbody>
  </table>
  </div>
  <div>
  <table>
    <caption>Attempts per batch</caption>
    <thead><tr><th scope="col">Requests</th><th scope="col">Batches</th></tr></thead>
    <tbody>
{}    </tbody>
  </table>
  </div>
  </div>
</section>
""",
        _figure(run.requests),
        _plural(run.requests, "request"),
        _figure(run.batches),
        _plural(run.batches, "batch", "batches"),
        split,
        answers,
        attempts,
    )


# --- around it ------------------------------------------------------------------------------------------------------


def _history(report: Report) -> Markup:
    events = joined(
        html(
            """\
    <li>
      <h3>{} <span class="share">{} UTC</span></h3>
      <p class="tally">{}</p>
      <p>{}</p>
    </li>
""",
            _outside(event.what),
            _moment(event.at),
            event.extent,
            _outside(event.told),
        )
        for event in report.history
    )
    return html(
        """\
<section aria-labelledby="history">
  <h2 id="history">History</h2>
  <ol class="reasons" role="list">
{}  </ol>
</section>
""",
        events,
    )


def _settings(report: Report) -> Markup:
    files = NOTHING
    if report.files:
        files = html(
            """\
  <div class="scroll" tabindex="0" role="region" aria-label="Input files">
  <table>
    <thead><tr><th scope="col" class="words">File</th><th scope="col">Bytes</th>\
<th scope="col" class="words">SHA-256</th></tr></thead>
    <tbody>
{}    </tbody>
  </table>
  </div>
""",
            joined(
                html(
                    '      <tr><th scope="row" class="words">{}</th><td>{}</td>'
                    '<td class="words"><code class="digest">{}</code></td></tr>\n',
                    _outside(file.name),
                    _figure(file.size),
                    file.sha256,
                )
                for file in report.files
            ),
        )
    return html(
        """\
<section aria-labelledby="settings">
  <h2 id="settings">{}</h2>
{}  <dl class="settings">
{}  </dl>
  <p class="aside">The API key is not stored here or anywhere in the run’s folder.</p>
</section>
""",
        "Input and settings" if report.files else "Settings",
        files,
        joined(
            html("    <div><dt>{}</dt><dd>{}</dd></div>\n", _outside(it.name), _outside(it.value))
            for it in report.settings
        ),
    )


def _foot(report: Report) -> Markup:
    return html(
        """\
<footer>
  <p>Written from the run’s journal on {} UTC; started with {}. For programs: <a href="summary.json">summary.json</a>. \
Identifiers are masked here and complete in the results.</p>
</footer>
""",
        _moment(report.written_at),
        _outside(report.tool),
    )
