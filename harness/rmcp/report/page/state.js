// Everything that is seen is in the URL's hash, so that a link (also to a file) shows the same again.

const DEFAULTS = { q: '', o: '', tab: '', g: '', s: '', case: '', ax: '', ay: '', n: '' };

export class State {
  constructor() {
    this.values = { ...DEFAULTS };
    this.listeners = [];
    this.read();
    addEventListener('popstate', () => this.read(true));
    addEventListener('hashchange', () => this.read(true));
  }

  get(name) { return this.values[name]; }

  read(tell) {
    const params = new URLSearchParams(location.hash.slice(1));
    const before = JSON.stringify(this.values);
    for (const name of Object.keys(DEFAULTS)) this.values[name] = params.get(name) || '';
    if (tell && JSON.stringify(this.values) !== before) this.tell(new Set(Object.keys(DEFAULTS)));
  }

  hash(changes) {
    const params = new URLSearchParams();
    for (const [name, value] of Object.entries({ ...this.values, ...changes })) if (value) params.set(name, value);
    return '#' + params.toString();
  }

  // `push` makes a step that the browser's Back undoes (opening a case); the rest replaces the current one.
  set(changes, push) {
    const names = Object.keys(changes).filter((name) => this.values[name] !== changes[name]);
    if (!names.length) return;
    Object.assign(this.values, changes);
    const hash = this.hash({});
    const url = hash === '#' ? location.pathname + location.search : hash;
    if (push) history.pushState(null, '', url);
    else history.replaceState(null, '', url);
    this.tell(new Set(names));
  }

  on(listener) { this.listeners.push(listener); }

  tell(names) { for (const listener of this.listeners) listener(names); }
}
