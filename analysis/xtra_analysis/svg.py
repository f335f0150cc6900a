"""A figure as one small SVG element. matplotlib's own is far longer, dated, and has ids that would clash on a page."""

from __future__ import annotations

import io
import re
from collections import Counter
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import matplotlib as mpl
from matplotlib.figure import Figure

from xtra_analysis.drawing import xtra_style
from xtra_analysis.text import METHOD_CLASS

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
COORDINATES = ("d", "x", "y", "width", "height", "transform", "points")
FONT = "font-family:'DejaVu Sans', sans-serif"
_NUMBER = re.compile(r"-?\d+\.\d+")
_SPACES = re.compile(r"\s+(?=[A-Za-z]|$)|(?<=[A-Za-z])\s+")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_UNTURNED = re.compile(r"rotate\(-?0 [^)]*\)")


def to_svg(figure: Figure, name: str, alt: str) -> str:
    """Writes the figure as an SVG element with ids of its own (`name` and a number), a text for screen readers, and no date.

    Whatever `drawing.mark` gave to a method has the method's class. Raises nothing for odd labels: they are text nodes, escaped
    by the XML writer.
    """
    buffer = io.BytesIO()
    with xtra_style():
        mpl.rcParams["svg.hashsalt"] = name
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    root = ElementTree.fromstring(buffer.getvalue())
    _remove_foreign(root)
    _rename_ids(root, name)
    for element in root.iter():
        _shorten(element)
    _flatten(root)
    _share_style(root)
    root.attrib |= {"role": "img", "aria-label": alt, "style": f"{FONT};stroke-linejoin:round"}
    ElementTree.register_namespace("", SVG)
    return ElementTree.tostring(root, encoding="unicode")


def _remove_foreign(root: Element) -> None:
    """Takes out metadata, and style sheets, which would style the whole page."""
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style")]:
            parent.remove(child)


def _rename_ids(root: Element, name: str) -> None:
    """Numbers the ids that are referred to, makes classes of methods' ids, and drops the others."""
    for element in root.iter():
        if link := element.attrib.pop(f"{{{XLINK}}}href", None):
            element.set("href", link)
    used: dict[str, str] = {}
    for element in root.iter():
        for key, value in element.attrib.items():
            old = value[1:] if key == "href" and value.startswith("#") else "".join(_REFERENCE.findall(value))
            if old:
                new = used.setdefault(old, f"{name}-{len(used)}")
                element.set(key, f"#{new}" if key == "href" else _REFERENCE.sub(f"url(#{new})", value))
    for element in root.iter():
        own = element.attrib.pop("id", None)
        if own in used:
            element.set("id", used[own])
        elif own is not None and METHOD_CLASS.fullmatch(own):
            element.set("class", own)


def _shorten(element: Element) -> None:
    """Rounds to tenths of a point, finer than a screen's pixel, and leaves out attributes without effect."""
    if _UNTURNED.fullmatch(element.get("transform", "")):
        del element.attrib["transform"]
    for key in COORDINATES:
        if key in element.attrib:
            element.set(
                key, _SPACES.sub("", _NUMBER.sub(lambda match: f"{float(match[0]):.1f}".removesuffix(".0"), element.attrib[key]))
            )
    if style := element.get("style"):
        element.set("style", style.replace(": ", ":").replace("; ", ";").replace(f"{FONT};", "").rstrip("; "))
    for text in ("text", "tail"):
        if not (getattr(element, text) or "").strip():
            setattr(element, text, None)


def _flatten(parent: Element) -> None:
    """Puts the children of groups without attributes in their place, and drops groups and definitions that hold nothing."""
    children = []
    for child in list(parent):
        _flatten(child)
        group = child.tag in (f"{{{SVG}}}g", f"{{{SVG}}}defs")
        if child.tag == f"{{{SVG}}}g" and not child.attrib:
            children += list(child)
        elif len(child) or not group:
            children.append(child)
    parent[:] = children


def _share_style(parent: Element) -> None:
    """Moves the style that most children of a group have, where all have one, up to the group."""
    for child in parent:
        _share_style(child)
    if parent.tag == f"{{{SVG}}}g" and len(parent) > 1 and all(child.tag == f"{{{SVG}}}use" for child in parent):
        ((style, count),) = Counter(child.get("style", "") for child in parent).most_common(1)
        if count == len(parent) and "style" not in parent.attrib:
            parent.set("style", style)
            for child in parent:
                del child.attrib["style"]
