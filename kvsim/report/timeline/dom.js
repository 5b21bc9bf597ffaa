// Helpers for the page's elements. Text is only ever inserted as text, so nothing that a node
// reported can become markup.

timeline.dom = (() => {
  const CONTROL = /([\u0000-\u001f\u007f-\u009f]+)/;
  const ESCAPES = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

  const byId = (id) => document.getElementById(id);

  function element(tag, className, ...children) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    made.append(
      ...children.filter((child) => child !== null && child !== undefined && child !== ""),
    );
    return made;
  }

  // What scrolls can be reached by the keyboard, and has a name.
  function focusable(region, label) {
    region.tabIndex = 0;
    region.setAttribute("role", "region");
    region.setAttribute("aria-label", label);
  }

  function fill(parent, ...children) {
    parent.replaceChildren(...children.filter((child) => child !== null && child !== undefined));
  }

  // Bytes, one per character, as a person reads them: UTF-8 where it is valid, control bytes as
  // escapes in another colour.
  function readable(text, term) {
    const made = element("span");
    for (const part of decodeUtf8(text).split(CONTROL)) {
      if (CONTROL.test(part)) made.append(element("span", "escape", escapeControl(part)));
      else made.append(...marked(part, term));
    }
    return made;
  }

  function decodeUtf8(text) {
    if (!/[\u0080-\u00ff]/.test(text)) return text;
    const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch {
      return text;
    }
  }

  const hex = (character) => "\\x" + character.charCodeAt(0).toString(16).padStart(2, "0");
  const escapeControl = (text) =>
    text.replace(
      /[\u0000-\u001f\u007f-\u009f]/g,
      (character) => ESCAPES[character] ?? hex(character),
    );
  const oneLine = (text) => escapeControl(decodeUtf8(text).replace(/\r?\n$/, ""));

  // The text in pieces, with every occurrence of the term in a <mark>.
  function marked(text, term) {
    if (!term) return [text];
    const pieces = [];
    const lowered = text.toLowerCase();
    const loweredTerm = term.toLowerCase();
    let from = 0;
    for (let at = lowered.indexOf(loweredTerm); at >= 0; at = lowered.indexOf(loweredTerm, from)) {
      pieces.push(text.slice(from, at), element("mark", "", text.slice(at, at + term.length)));
      from = at + term.length;
    }
    return [...pieces, text.slice(from)].filter((piece) => piece !== "");
  }

  // A number with its thousands separated.
  const grouped = (number) => number.toLocaleString("en");

  return { byId, element, fill, focusable, readable, oneLine, marked, grouped };
})();
