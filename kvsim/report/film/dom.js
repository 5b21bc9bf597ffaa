// Small helpers for the page's elements. Text only ever goes in as text: nothing that a node said can become markup.

const byId = (id) => document.getElementById(id);

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

function fill(parent, ...children) {
  parent.replaceChildren(...children.filter((child) => child !== null && child !== undefined));
}

// Bytes, one a character, as a person reads them: UTF-8 where it is, control bytes as escapes in a softer colour.
function readable(text, term) {
  const decoded = decodeUtf8(text);
  const made = element("span");
  for (const part of decoded.split(/([\u0000-\u001f\u007f-\u009f]+)/)) {
    if (/^[\u0000-\u001f\u007f-\u009f]/.test(part)) made.append(element("span", "esc", escaped(part)));
    else made.append(...marked(part, term));
  }
  return made;
}

function decodeUtf8(text) {
  if (!/[\u0080-\u00ff]/.test(text)) return text;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(text, (c) => c.charCodeAt(0)));
  } catch {
    return text;
  }
}

const ESCAPES = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
const escaped = (text) => text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (c) => ESCAPES[c] ?? "\\x" + c.charCodeAt(0).toString(16).padStart(2, "0"));
const oneLine = (text) => escaped(decodeUtf8(text).replace(/\r?\n$/, ""));

// The text in pieces, with every occurrence of the term in a <mark>.
function marked(text, term) {
  if (!term) return [text];
  const pieces = [];
  const low = text.toLowerCase();
  const wanted = term.toLowerCase();
  let from = 0;
  for (let at = low.indexOf(wanted); at >= 0; at = low.indexOf(wanted, from)) {
    pieces.push(text.slice(from, at), element("mark", "", text.slice(at, at + term.length)));
    from = at + term.length;
  }
  return [...pieces, text.slice(from)].filter((piece) => piece !== "");
}
