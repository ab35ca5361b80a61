"""The service's description where it is served: as it is, and as a page to read.

The page is made from the description alone and loads nothing: no script, no font, no picture.
"""

import json
import re
from collections.abc import Mapping
from html import escape
from typing import Any, Final

from aiohttp import web

from photoanimer_async.service.http.openapi import DESCRIPTION_PATH, PAGE_PATH, describe

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}
_REFERENCE: Final = "#/components/schemas/"
_CODE: Final = re.compile("`([^`]+)`")
_ITEM: Final = "* "
_NEXT: Final = f"\n{_ITEM}"
_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: #b06a10 }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 52rem; margin: 0 auto;
  padding: 2rem 1.2rem 5rem }
h1 { line-height: 1.2; margin-bottom: .2rem }
h2 { margin: 3rem 0 .3rem }
h3 { margin: 1.4rem 0 .3rem; font-size: 1rem }
p { margin: .5rem 0 }
a { color: var(--accent) }
nav { margin: 1rem 0 }
nav a { margin-right: 1.2rem }
code { font: .875em ui-monospace, monospace }
.path { font-weight: 600; color: var(--accent); overflow-wrap: anywhere }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .35rem .8rem .35rem 0;
  border-bottom: 1px solid var(--line) }
ul { margin: .2rem 0; padding-left: 1.2rem }
details { margin: .3rem 0 .8rem; padding: .3rem .8rem; background: var(--soft);
  border-radius: .4rem }
summary { cursor: pointer }
.soft { opacity: .7 }
"""


def add_documentation(app: web.Application, prefix: str) -> None:
    """Serve the description of an application.

    Args:
        app: the application.
        prefix: what the paths of the API page start with.
    """
    description = describe(prefix)
    text = json.dumps(description, ensure_ascii=False, indent=1)
    page = render_page(description)

    async def as_json(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type="application/json")

    async def as_page(_: web.Request) -> web.Response:
        return web.Response(text=page, content_type="text/html", headers=_HEADERS)

    app.router.add_get(DESCRIPTION_PATH, as_json, allow_head=False)
    app.router.add_get(PAGE_PATH, as_page, allow_head=False)


def render_page(description: Mapping[str, Any]) -> str:
    """The page of a description, as HTML."""
    info = description["info"]
    operations = [
        (method, path, operation)
        for path, methods in description["paths"].items()
        if path not in {DESCRIPTION_PATH, PAGE_PATH}
        for method, operation in methods.items()
    ]
    hooks = [
        (method, "your address for notifications", operation)
        for methods in description["webhooks"].values()
        for method, operation in methods.items()
    ]
    links = "".join(
        f'<a href="#{escape(operation["operationId"])}">{escape(operation["summary"])}</a>'
        for _, _, operation in operations + hooks
    )
    schemas = description["components"]["schemas"]
    sections = "".join(
        _section(method, path, operation, schemas) for method, path, operation in operations + hooks
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style>"
        f"<h1>{escape(info['title'])}</h1><p>{escape(info['summary'])} "
        f"{_prose(info['description'])}</p>"
        f"<p>The same for programs: <a href='{DESCRIPTION_PATH}'>{DESCRIPTION_PATH}</a> "
        "(OpenAPI 3.1).</p>"
        f"<nav>{links}</nav>{sections}</html>\n"
    )


def _section(
    method: str, path: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]
) -> str:
    parts = [
        f'<h2 id="{escape(operation["operationId"])}">{escape(operation["summary"])}</h2>',
        f'<div class="path"><code>{escape(f"{method.upper()} {path}")}</code></div>',
        f"<p>{_prose(operation.get('description', ''))}</p>",
    ]
    if operation.get("security") != []:
        parts.append("<p>Needs the header <code>APIKEY</code>.</p>")
    if "parameters" in operation:
        parts.append(_parameters(operation["parameters"]))
    if "requestBody" in operation:
        parts.append(f"<h3>Sent</h3>{_content(operation['requestBody'], schemas)}")
    parts.append("<h3>Answers</h3>")
    parts += [
        f"<p><b>{escape(status)}</b> {_prose(answer['description'])}</p>{_content(answer, schemas)}"
        for status, answer in operation["responses"].items()
    ]
    return "".join(parts)


def _parameters(parameters: list[Mapping[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(parameter['name'])}</code>"
        f"<td>{escape(parameter['in'])}{', required' if parameter.get('required') else ''}"
        f"<td>{escape(_kind(parameter['schema']))}<td>{_prose(parameter['description'])}"
        for parameter in parameters
    )
    return f"<h3>Parameters</h3><table><tr><th>name<th>in<th>value<th>meaning{rows}</table>"


def _content(holder: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    """What an answer or a request holds, by media type."""
    return "".join(
        f'<details><summary class="soft">{escape(kind)}</summary>'
        f"{_fields(content['schema'], schemas)}</details>"
        for kind, content in holder.get("content", {}).items()
    )


def _fields(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    """A schema as nested lists; what it refers to is written in its place."""
    if "$ref" in schema:
        return _fields(schemas[schema["$ref"].removeprefix(_REFERENCE)], schemas)
    if "oneOf" in schema:
        either = "<p class='soft'>or</p>".join(_fields(each, schemas) for each in schema["oneOf"])
        return f"<div>{either}</div>"
    if "properties" not in schema:
        return f"<p>{escape(_kind(schema))}</p>"
    required = schema.get("required", [])
    items = "".join(
        f"<li><code>{escape(name)}</code>{'' if name in required else ' (may be missing)'}: "
        f"{_field(field, schemas)}"
        for name, field in schema["properties"].items()
    )
    return f"<ul>{items}</ul>"


def _field(field: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    if {"$ref", "oneOf", "properties"} & field.keys():
        return _fields(field, schemas)
    meaning = field.get("description", "")
    if meaning.startswith(_ITEM):
        items = "".join(f"<li>{_prose(line)}" for line in meaning.removeprefix(_ITEM).split(_NEXT))
        return f"<ul>{items}</ul>"
    return f"{escape(_kind(field))}. {_prose(meaning)}" if meaning else escape(_kind(field))


def _prose(text: str) -> str:
    """A description; it is Markdown, of which code and items are known here."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def _kind(schema: Mapping[str, Any]) -> str:
    """A value in a few words."""
    match schema:
        case {"const": value}:
            return json.dumps(value)
        case {"enum": values}:
            return ", ".join(map(str, values))
        case {"format": "uri"}:
            return "URL"
        case {"contentMediaType": kind}:
            return f"a file of {kind}"
        case {"type": kind}:
            return str(kind)
        case _:
            return "anything"
