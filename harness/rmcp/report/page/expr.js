// The expression language of the matrix (rmcp/matrix/expressions.py); both read tests/vectors/expressions.json.
// Truth is 1, 0 or 2: true, false, unknown.

const LONGEST = 20000;
const DEEPEST = 60;
const TOKEN = /\s*(?:("[^"]*"|'[^']*')|(==|!=|<=|>=|<|>|\(|\)|\[|\]|,)|([^\s()[\],'"<>=!]+(?:\[[^\]\s]*\][^\s()[\],'"<>=!]*)*))/y;
const NAME = /^[A-Za-z_][A-Za-z0-9_.-]*$/;
const KEYWORDS = new Set(['and', 'or', 'not', 'in']);
const RELEASE = /^v?([0-9]+(?:\.[0-9]+)*)/;
const PRE = /^[-._]?(?:alpha|beta|dev|pre|rc|a|b)[-.]?[0-9]*(?![A-Za-z])/;
const NUMBER = /^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?$/;

export class ExpressionError extends Error {
  constructor(offset, message, hint) {
    super(hint ? `${message}: ${hint}` : message);
    this.offset = offset;
  }
}

export function parseVersion(text) {
  const found = RELEASE.exec(text);
  if (!found || found[0].length > 64) return null;
  const rest = text.slice(found[0].length);
  const before = PRE.test(rest);
  if (rest && !before && !'-+_.'.includes(rest[0])) return null;
  const numbers = found[1].split('.').map(Number);
  while (numbers.length > 1 && numbers[numbers.length - 1] === 0) numbers.pop();
  return [numbers, before ? 0 : 1];
}

function compareVersions(a, b) {
  for (let i = 0; i < Math.max(a[0].length, b[0].length); i++) {
    if (i >= a[0].length) return -1;
    if (i >= b[0].length) return 1;
    if (a[0][i] !== b[0][i]) return a[0][i] < b[0][i] ? -1 : 1;
  }
  return Math.sign(a[1] - b[1]);
}

export function parseNumber(value) {
  if (typeof value === 'number') return value;
  if (typeof value === 'string' && value.length <= 64 && NUMBER.test(value)) return Number(value);
  return null;
}

export const asText = (value) => String(value);

export function globPattern(pattern) {
  const quote = (c) => (/[\\^$.*+?()[\]{}|/-]/.test(c) ? '\\' + c : c);
  let out = '';
  let at = 0;
  while (at < pattern.length) {
    const char = pattern[at++];
    if (char === '*' || char === '?') {
      out += char === '*' ? '.*' : '.';
      continue;
    }
    const close = char === '[' ? pattern.indexOf(']', at + 1 + (pattern[at] === '!' ? 1 : 0)) : -1;
    if (close < 0) {
      out += quote(char);
      continue;
    }
    out += charSet(pattern.slice(at, close), quote);
    at = close + 1;
  }
  return new RegExp(`^(?:${out})$`, 's');
}

function charSet(inside, quote) {
  const negated = inside.startsWith('!');
  const body = negated ? inside.slice(1) : inside;
  let parts = '';
  let at = 0;
  while (at < body.length) {
    if (at + 2 < body.length && body[at + 1] === '-') {
      if (body[at] <= body[at + 2]) parts += `${quote(body[at])}-${quote(body[at + 2])}`;
      at += 3;
    } else {
      parts += quote(body[at++]);
    }
  }
  if (!parts) return negated ? '.' : '(?!)';
  return `[${negated ? '^' : ''}${parts}]`;
}

export function matcherOf(word, kind) {
  if (/[*?[]/.test(word)) {
    const pattern = globPattern(word);
    return (value) => value !== null && pattern.test(asText(value));
  }
  const number = kind !== 'version' && kind !== 'text' ? parseNumber(word) : null;
  const version = kind === 'version' ? parseVersion(word) : null;
  return (value) => {
    if (value === null) return false;
    if (number !== null && (kind === 'number' || typeof value !== 'string')) {
      const other = parseNumber(value);
      if (other !== null) return other === number;
    }
    if (version !== null) {
      const other = parseVersion(asText(value));
      return asText(value) === word || (other !== null && compareVersions(other, version) === 0);
    }
    return asText(value) === word;
  };
}

function byNumber(value, word) {
  const a = parseNumber(value);
  const b = parseNumber(word);
  return a === null || b === null ? null : Math.sign(a - b);
}

function byVersion(value, word) {
  const a = parseVersion(asText(value));
  const b = parseVersion(word);
  return a === null || b === null ? null : compareVersions(a, b);
}

function orderOf(kind) {
  if (kind === 'number') return byNumber;
  if (kind === 'version') return byVersion;
  return (value, word) => {
    const text = typeof value === 'string';
    const sign = text ? byVersion(value, word) : byNumber(value, word);
    if (sign !== null) return sign;
    return text ? byNumber(value, word) : byVersion(value, word);
  };
}

const SIGNS = {
  '<': (s) => s < 0,
  '<=': (s) => s <= 0,
  '>': (s) => s > 0,
  '>=': (s) => s >= 0,
};
const OPERATORS = new Set(['==', '!=', '<', '<=', '>', '>=']);

class Parser {
  constructor(text, names, types) {
    this.text = text;
    this.names = names;
    this.types = types || {};
    this.at = 0;
    this.depth = 0;
    if (text.length > LONGEST) throw new ExpressionError(0, `expression is longer than ${LONGEST} characters`);
    this.tokens = this.tokenise();
  }

  tokenise() {
    const tokens = [];
    const end = this.text.trimEnd().length;
    let at = 0;
    while (at < end) {
      TOKEN.lastIndex = at;
      const found = TOKEN.exec(this.text);
      if (!found || TOKEN.lastIndex === at) {
        const start = at + this.text.slice(at).length - this.text.slice(at).trimStart().length;
        const bad = this.text[start];
        const hint = { '=': 'write ==', '!': 'write != or not' }[bad];
        const quote = bad === '"' || bad === "'";
        throw new ExpressionError(start, quote ? 'this quote is not closed' : `unexpected ${bad}`, hint);
      }
      const kind = found[1] !== undefined ? 'quoted' : found[2] !== undefined ? 'op' : 'word';
      const value = found[1] || found[2] || found[3];
      tokens.push({ kind, text: value, offset: TOKEN.lastIndex - value.length });
      at = TOKEN.lastIndex;
    }
    tokens.push({ kind: 'end', text: 'end of the expression', offset: end });
    return tokens;
  }

  peek() { return this.tokens[this.at]; }

  take(text) {
    const token = this.peek();
    if ((token.kind !== 'op' && token.kind !== 'word') || token.text !== text) return false;
    this.at++;
    return true;
  }

  parse() {
    if (this.peek().kind === 'end') throw new ExpressionError(0, 'empty expression');
    const node = this.or();
    const token = this.peek();
    if (token.kind !== 'end') {
      throw new ExpressionError(token.offset, `unexpected ${token.text}`, 'join tests with and or or');
    }
    return node;
  }

  or() {
    const parts = [this.and()];
    while (this.take('or')) parts.push(this.and());
    return parts.length === 1 ? parts[0] : { kind: 'or', parts };
  }

  and() {
    const parts = [this.not()];
    while (this.take('and')) parts.push(this.not());
    return parts.length === 1 ? parts[0] : { kind: 'and', parts };
  }

  not() {
    const token = this.peek();
    if (token.kind === 'quoted' || (token.text !== 'not' && token.text !== '(')) return this.test();
    if (++this.depth > DEEPEST) throw new ExpressionError(token.offset, `nested deeper than ${DEEPEST} levels`);
    this.at++;
    let node;
    if (token.text === 'not') {
      node = { kind: 'not', parts: [this.not()] };
    } else {
      node = this.or();
      if (!this.take(')')) throw new ExpressionError(this.peek().offset, 'expected )', 'a ( before this is not closed');
    }
    this.depth--;
    return node;
  }

  test() {
    const token = this.peek();
    if (token.kind !== 'end') this.at++;
    if (token.kind === 'word' && token.text.startsWith('is:')) return { kind: 'flag', name: 'is', word: token.text.slice(3) };
    if (token.kind !== 'word' || KEYWORDS.has(token.text) || !NAME.test(token.text)) {
      throw new ExpressionError(token.offset, `expected a name, found ${token.text}`);
    }
    const name = token.text;
    if (this.names && !this.names.has(name)) throw new ExpressionError(token.offset, `unknown name ${name}`);
    if (this.take('in')) return this.list(name);
    const next = this.tokens[Math.min(this.at + 1, this.tokens.length - 1)];
    if (this.peek().text === 'not' && next.text === 'in') {
      this.at += 2;
      return { kind: 'not', parts: [this.list(name)] };
    }
    const operator = this.peek();
    if (operator.kind !== 'op' || !OPERATORS.has(operator.text)) {
      throw new ExpressionError(operator.offset, `expected an operator, found ${operator.text}`, `write for example ${name} == value`);
    }
    this.at++;
    const word = this.word();
    const kind = this.types[name] || '';
    if (operator.text === '==' || operator.text === '!=') {
      const leaf = { kind: 'equals', name, test: matcherOf(word.text, kind) };
      return operator.text === '!=' ? { kind: 'not', parts: [leaf] } : leaf;
    }
    this.orderable(name, kind, operator, word);
    return { kind: 'ordered', name, order: orderOf(kind), word: word.text, sign: SIGNS[operator.text] };
  }

  list(name) {
    if (!this.take('[')) throw new ExpressionError(this.peek().offset, 'expected [', `write ${name} in [a, b]`);
    const matchers = [];
    while (!this.take(']')) {
      matchers.push(matcherOf(this.word().text, this.types[name] || ''));
      if (!this.take(',') && !(this.peek().kind === 'op' && this.peek().text === ']')) {
        throw new ExpressionError(this.peek().offset, 'expected , or ]');
      }
    }
    return { kind: 'equals', name, test: (value) => matchers.some((matcher) => matcher(value)) };
  }

  word() {
    const token = this.peek();
    if (token.kind !== 'quoted' && (token.kind !== 'word' || KEYWORDS.has(token.text))) {
      throw new ExpressionError(token.offset, `expected a value, found ${token.text}`);
    }
    this.at++;
    return token.kind === 'quoted' ? { ...token, text: token.text.slice(1, -1) } : token;
  }

  orderable(name, kind, operator, word) {
    if (kind === 'text') throw new ExpressionError(operator.offset, `${name} is text and has no order`);
    const fits = { number: parseNumber(word.text) !== null, version: parseVersion(word.text) !== null };
    const good = kind in fits ? fits[kind] : fits.number || fits.version;
    if (!good) throw new ExpressionError(word.offset, `${word.text} is not a ${kind || 'number or a version'}`);
  }
}

// Compile to a tree. `names` is a Set of legal names or null; `types` maps names to text, number or version.
export function compileExpression(text, names, types) {
  return new Parser(text, names, types).parse();
}

// Truth of a leaf for one value; undefined is a name that the facts do not hold.
export function leafTruth(leaf, value) {
  if (value === undefined) return 2;
  if (leaf.kind === 'flag') return Array.isArray(value) && value.includes(leaf.word) ? 1 : 0;
  if (leaf.kind === 'equals') {
    if (Array.isArray(value)) return value.some((item) => leaf.test(item)) ? 1 : 0;
    return leaf.test(value) ? 1 : 0;
  }
  if (value === null) return 0;
  const sign = leaf.order(value, leaf.word);
  return sign === null ? 2 : leaf.sign(sign) ? 1 : 0;
}

export function combine(kind, truths) {
  if (kind === 'not') return truths[0] === 2 ? 2 : 1 - truths[0];
  const decisive = kind === 'or' ? 1 : 0;
  let result = 1 - decisive;
  for (const truth of truths) {
    if (truth === decisive) return decisive;
    if (truth === 2) result = 2;
  }
  return result;
}

// Truth of the whole tree over one object of facts.
export function evaluate(node, facts) {
  if (node.parts) return combine(node.kind, node.parts.map((part) => evaluate(part, facts)));
  return leafTruth(node, Object.hasOwn(facts, node.name) ? facts[node.name] : undefined);
}
