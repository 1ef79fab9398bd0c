// One list that hangs below a control: menus and look-ups share it.

let shown = null;

/** Hangs `content` below `anchor` until it is closed, the anchor goes, or one clicks elsewhere. */
export function openPopup(anchor, content, onClose = () => {}) {
  closePopup();
  shown = { anchor, content, onClose };
  // Inside a modal dialog everything outside of it is out of reach.
  (anchor.closest('dialog') ?? document.body).append(content);
  content.classList.add('popup');
  place();
  document.addEventListener('pointerdown', closeOnOutside, true);
  document.addEventListener('scroll', follow, true);
  window.addEventListener('resize', closePopup);
}

/** Closes the list, if one is open. */
export function closePopup() {
  if (!shown) return;
  const { content, onClose } = shown;
  shown = null;
  content.remove();
  document.removeEventListener('pointerdown', closeOnOutside, true);
  document.removeEventListener('scroll', follow, true);
  window.removeEventListener('resize', closePopup);
  onClose();
}

/** Whether the list hangs below this control. */
export function hasPopup(anchor) {
  return shown?.anchor === anchor;
}

/** After a redraw: the list stays with its control, or goes with it. */
export function tidyPopup() {
  if (!shown) return;
  if (shown.anchor.isConnected) place();
  else closePopup();
}

/** A menu of {label, act, danger?} below a button; arrow keys walk, Escape returns to the button. */
export function openMenu(anchor, items, label) {
  const menu = document.createElement('div');
  menu.setAttribute('role', 'menu');
  menu.setAttribute('aria-label', label);
  for (const item of items) {
    const entry = document.createElement('button');
    entry.type = 'button';
    entry.setAttribute('role', 'menuitem');
    entry.tabIndex = -1;
    entry.append(...item.label);
    entry.addEventListener('click', () => {
      closePopup();
      anchor.focus();
      item.act();
    });
    menu.append(entry);
  }
  menu.addEventListener('keydown', (event) => walk(event, menu, anchor));
  anchor.setAttribute('aria-expanded', 'true');
  openPopup(anchor, menu, () => anchor.setAttribute('aria-expanded', 'false'));
  menu.firstElementChild?.focus();
}

function walk(event, menu, anchor) {
  const entries = [...menu.children];
  const at = entries.indexOf(document.activeElement);
  const targets = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 };
  if (event.key in targets) {
    event.preventDefault();
    entries.at(targets[event.key] % entries.length)?.focus();
  } else if (event.key === 'Escape' || event.key === 'Tab') {
    event.preventDefault();
    event.stopPropagation();
    closePopup();
    anchor.focus();
  }
}

function place() {
  const { anchor, content } = shown;
  const box = anchor.getBoundingClientRect();
  const height = content.offsetHeight;
  const below = box.bottom + 4;
  const fitsBelow = below + height < window.innerHeight - 8;
  content.style.minWidth = `${Math.min(box.width, 360)}px`;
  content.style.top = `${fitsBelow ? below : Math.max(8, box.top - height - 4)}px`;
  content.style.left = `${Math.max(8, Math.min(box.left, window.innerWidth - content.offsetWidth - 8))}px`;
}

function closeOnOutside(event) {
  if (!shown.content.contains(event.target) && !shown.anchor.contains(event.target)) closePopup();
}

// New messages scroll the list; the menu goes along until its control is out of sight.
function follow(event) {
  if (shown.content.contains(event.target)) return;
  const { anchor } = shown;
  const box = anchor.getBoundingClientRect();
  const top = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
  if (top && (anchor.contains(top) || shown.content.contains(top))) place();
  else closePopup();
}
