// Builds and updates page elements; foreign text only ever becomes a text node or an attribute value.

const known = new WeakMap();

/** A new element; `props` are attributes, `class`, and `on…` listeners; false and null leave one out. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** The element of the page with this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Sets the text of a node, touching the page only when it differs. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Makes the children of `container` be `items` in order, redrawing only what changed.
 * An item is {key, signature, build(), update?(node)}; `update` changes a node in place instead of replacing it.
 */
export function reconcile(container, items) {
  const before = new Map();
  const wanted = new Set(items.map((item) => item.key));
  for (const child of [...container.children]) {
    const key = known.get(child)?.key;
    if (key !== undefined && wanted.has(key) && !before.has(key)) before.set(key, child);
    else child.remove();
  }
  let cursor = container.firstElementChild;
  for (const item of items) {
    const old = before.get(item.key);
    before.delete(item.key);
    // A replaced node takes the cursor with it, so look at the place it had.
    const atCursor = old !== undefined && old === cursor;
    const node = old === undefined ? item.build() : refreshed(old, item);
    known.set(node, { key: item.key, signature: item.signature });
    if (atCursor) cursor = node;
    if (node === cursor) cursor = node.nextElementSibling;
    else container.insertBefore(node, cursor);
  }
}

function refreshed(old, item) {
  if (known.get(old).signature === item.signature) return old;
  if (item.update) {
    item.update(old);
    return old;
  }
  const node = item.build();
  replaceKeepingFocus(old, node);
  return node;
}

function replaceKeepingFocus(old, node) {
  const active = document.activeElement;
  const control = old.contains(active) ? active.dataset.control : undefined;
  const range = control !== undefined && typeof active.selectionStart === 'number'
    ? [active.selectionStart, active.selectionEnd] : null;
  old.replaceWith(node);
  if (control === undefined) return;
  const again = [node, ...node.querySelectorAll('[data-control]')].find((each) => each.dataset.control === control);
  again?.focus({ preventScroll: true });
  if (range && again?.setSelectionRange) again.setSelectionRange(...range);
}
