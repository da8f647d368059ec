"""A message rendered with a request's properties; what only Braze can fill stays as it is written."""

from __future__ import annotations

from typing import Any

import pytest

from bulk_sender.braze.details import CampaignDetails, MessageDetails
from bulk_sender.braze.placeholders import has_hidden_parts, pieces, placeholders
from bulk_sender.braze.rendering import render, render_apart
from bulk_sender.errors import ConfigError

P = "api_trigger_properties"
PROPERTIES: dict[str, Any] = {
    "first_name": "Anna",
    "total": 49.9,
    "vip": True,
    "order": {"id": "A-1", "lines": [{"name": "Tea", "price": 3}, {"name": "Cup", "price": 8}]},
    "First name": "Anna Maria",
    "a.b": "dotted",
}


def rendered(template: str, *, canvas: bool = False, properties: dict[str, Any] = PROPERTIES) -> str:
    found = render(MessageDetails("v", "email", fields={"body": template}), properties, canvas=canvas)
    assert not found.faults
    return found.fields["body"]


@pytest.mark.parametrize(
    ("template", "text"),
    [
        (f"Hello {{{{{P}.${{first_name}}}}}}!", "Hello Anna!"),
        (f"{{{{ {P}.${{first_name}} | upcase }}}}", "ANNA"),
        (f"{{{{{P}.${{total}}}}}}", "49.9"),
        (f"{{{{{P}.${{vip}}}}}}", "true"),
        (f"{{{{{P}.${{order}}.id}}}}", "A-1"),
        (f"{{{{{P}.${{order}}['id']}}}}", "A-1"),
        (f"{{{{{P}.${{order}}.lines[1].name}}}}", "Cup"),
        (f"{{{{{P}.${{order.id}}}}}}", "A-1"),
        (f"{{{{{P}.${{a.b}}}}}}", "dotted"),
        (f"{{{{{P}.${{First name}}}}}}", "Anna Maria"),
        (f"{{{{{P}.${{missing}} | default: 'friend'}}}}", "friend"),
        (f"[{{{{{P}.${{missing}}}}}}]", "[]"),
        (f"{{% if {P}.${{vip}} %}}gold{{% else %}}plain{{% endif %}}", "gold"),
        (f"{{% assign n = {P}.${{first_name}} | downcase %}}{{{{n}}}}", "anna"),
        (f"{{% for l in {P}.${{order}}.lines %}}{{{{l.name}}}} {{% endfor %}}", "Tea Cup "),
        (f"{{% capture x %}}<{{{{{P}.${{first_name}}}}}}>{{% endcapture %}}{{{{x}}}}", "<Anna>"),
        ("{% comment %}{{${x}}}{% endcomment %}a", "a"),
        ("{% raw %}{{${x}}}{% endraw %}", "{{${x}}}"),
        ("{{ 'a,b' | split: ',' | join: '-' }}", "a-b"),
    ],
)
def test_what_the_request_holds_is_filled_in(template: str, text: str) -> None:
    assert rendered(template) == text


@pytest.mark.parametrize(
    "template",
    [
        "{{${first_name}}}",
        "{{ ${first_name} | default: 'you' }}",
        "{{custom_attribute.${tier}}}",
        "{{content_blocks.${footer}}}",
        "{{ items[0].name }}",
        "{% connected_content https://example.com/{{${user_id}}} :save answer %}{{answer.name}}",
        "{% catalog_items shop {{x}} %}{{ items[0].price }}",
        "{% abort_message('no consent') %}",
        "{% if custom_attribute.${vip} == 'yes' %}a{% else %}b{% endif %}",
        "{% if ${country} == 'FR' %}a{% elsif ${country} == 'DE' %}b{% endif %}",
        "{% case ${language} %}{% when 'fr' %}Bonjour{% else %}Hello{% endcase %}",
        "{% for x in custom_attribute.${list} %}{{x}}{% endfor %}",
        "{% assign city = ${city} %}{{city | upcase}}",
        "{{ 'a' | hmac_sha1: 'b' }}",
        "{% include 'secret' %}",
        "{% render 'secret' %}",
        "{{context.${x}}}",
    ],
)
def test_what_only_braze_knows_stays_as_it_is_written(template: str) -> None:
    assert rendered(template) == template


def test_a_part_that_is_known_is_rendered_beside_one_that_is_not() -> None:
    template = (
        f"{{% if ${{country}} == 'FR' %}}Salut {{{{{P}.${{first_name}}}}}}{{% else %}}Hi{{% endif %}} {{{{${{x}}}}}}"
    )
    assert rendered(template) == "{% if ${country} == 'FR' %}Salut Anna{% else %}Hi{% endif %} {{${x}}}"
    later = f"{{% if {P}.${{vip}} %}}a{{% elsif ${{x}} %}}b{{% endif %}}"
    assert rendered(later) == later


def test_a_variable_set_under_an_unknown_condition_is_not_guessed() -> None:
    template = "{% assign n = 'a' %}{% if ${x} %}{% assign n = 'b' %}{% endif %}{{n}}"
    assert rendered(template) == template


def test_a_canvas_has_its_own_names() -> None:
    template = "{{context.${first_name}}} {{canvas_entry_properties.${total}}}"
    assert rendered(template, canvas=True) == "Anna 49.9"
    assert rendered(f"{{{{{P}.${{total}}}}}}", canvas=True) == f"{{{{{P}.${{total}}}}}}"


def test_values_are_not_evaluated_again() -> None:
    assert (
        rendered(f"{{{{{P}.${{first_name}}}}}}", properties={"first_name": "{{ 1 | plus: 1 }}"}) == "{{ 1 | plus: 1 }}"
    )


@pytest.mark.parametrize("template", ["{% if x %}", "{{ 'a' | plus: }}", "{% endfor %}", "{{ 1 | }}"])
def test_a_broken_template_is_shown_as_it_is(template: str) -> None:
    found = render(MessageDetails("v", "email", fields={"body": template, "subject": "Hi"}), {}, canvas=False)
    assert found.fields == {"body": template, "subject": "Hi"}


def test_loops_are_bounded() -> None:
    endless = "{% for a in (1..1000) %}{% for b in (1..1000) %}{{b}}{% endfor %}{% endfor %}"
    found = render(MessageDetails("v", "email", fields={"body": endless}), {}, canvas=False)
    assert "LoopIterationLimitError" in found.faults[0]
    assert found.fields["body"] == endless


def test_a_message_that_takes_too_much_ends_in_a_process_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    hungry = "{{ (1..2000000000) | join: 'xxxxxxxxxxxxxxxx' | size }}"
    details = CampaignDetails("campaign", "n", "live", messages=(MessageDetails("v", "email", fields={"b": hungry}),))
    try:
        [found] = render_apart(details, {})
    except ConfigError as error:
        assert "cannot be rendered within" in str(error)
    else:
        assert found.faults


def test_a_process_apart_renders_the_same() -> None:
    template = f"Grüße {{{{{P}.${{first_name}}}}}} {{{{${{x}}}}}}"
    message = MessageDetails("v", "email", "Variation 1", {"subject": template})
    [found] = render_apart(CampaignDetails("campaign", "n", "live", messages=(message,)), PROPERTIES)
    assert found == render(message, PROPERTIES, canvas=False)
    assert found.fields["subject"] == "Grüße Anna {{${x}}}"
    assert found.left == ("{{${x}}}",)


# --- placeholders -----------------------------------------------------------------------------------------------------


def details(*templates: str, canvas: bool = False) -> CampaignDetails:
    fields = {f"f{index}": text for index, text in enumerate(templates)}
    return CampaignDetails(
        "Canvas" if canvas else "campaign", "n", "live", messages=(MessageDetails("v", "email", fields=fields),)
    )


@pytest.mark.parametrize(
    ("template", "name", "may_be_missing"),
    [
        (f"{{{{{P}.${{a}}}}}}", "a", False),
        (f"{{{{ {P}.${{ a }} }}}}", "a", False),
        (f"{{{{{P}.${{a}} | default: 'x'}}}}", "a", True),
        (f"{{{{{P}.${{a}}}}}}{{{{{P}.${{a}} | default: 'x'}}}}", "a", False),
        (f"{{% if {P}.${{a}} != blank %}}{{{{{P}.${{a}}}}}}{{% endif %}}", "a", True),
        (f"{{% assign z = {P}.${{a}} | default: 'x' %}}", "a", True),
        (f"{{% for z in {P}.${{a}} %}}{{% endfor %}}", "a", False),
        (f"{{{{{P}.${{a}}.b.c}}}}", "a.b.c", False),
        (f"{{{{{P}.${{a}}[0].c}}}}", "a", False),
        (f"{{% connected_content https://x/{{{{{P}.${{a}}}}}} %}}", "a", False),
    ],
)
def test_a_placeholder_says_whether_a_missing_value_is_meant(template: str, name: str, may_be_missing: bool) -> None:
    [found] = placeholders(details(template))
    assert (found.shown, found.may_be_missing) == (name, may_be_missing)


def test_names_that_a_request_does_not_fill_are_no_placeholders() -> None:
    other = "{{${first_name}}} {{custom_attribute.${x}}} {{context.${y}}}"
    other += "{% raw %}{{api_trigger_properties.${z}}}{{context.${z}}}{% endraw %}"
    assert placeholders(details(other)) == ()
    assert [found.shown for found in placeholders(details(other, canvas=True))] == ["y"]


def test_content_that_braze_does_not_show_is_noticed() -> None:
    assert not has_hidden_parts(details("Hi"))
    assert has_hidden_parts(details("{{content_blocks.${footer}}}"))
    assert has_hidden_parts(CampaignDetails("campaign", "n", "live"))


def test_the_pieces_of_a_template_are_all_of_it() -> None:
    template = "a{{${x}}}b{% if a %}{{ '}' }}{% endif %}{% raw %}{{ {% if %}{% endraw %}c {{ open"
    assert "".join(piece.text for piece in pieces(template)) == template
