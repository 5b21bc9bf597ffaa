// The lesson's store for Node.js: lines, or a JSON object on each line. The file `style` beside it
// says what it answers; the data are lines in a file of its own folder.
const fs = require('fs');
const net = require('net');
const path = require('path');

const style = Object.fromEntries(
  fs.readFileSync(path.join(__dirname, 'style'), 'utf8').trimEnd().split('\n')
    .map((line) => [line.split(' ', 1)[0], line.slice(line.indexOf(' ') + 1)]),
);
const options = { role: 'leader', leader: '', 'data-dir': '.' };
const words = process.argv.slice(2);
while (words.length) {
  const [name, ...value] = words.shift().split('=');
  options[name.slice(2)] = value.length ? value.join('=') : words.shift();
}
const follows = options.role === 'follower';
const file = path.join(options['data-dir'], 'data');
const keeps = style.keeps === 'yes';
const data = new Map();

function apply(line, keep) {
  const [key, value] = line.split('\t');
  if (value === undefined) data.delete(key);
  else data.set(key, value);
  if (keep && keeps) fs.appendFileSync(file, `${line}\n`);
}

if (keeps && fs.existsSync(file)) {
  fs.readFileSync(file, 'utf8').split('\n').filter(Boolean).forEach((line) => apply(line, false));
}

function filled(name, key, value = '') {
  return style[name].replaceAll('{k}', key).replaceAll('{v}', value).replaceAll('{n}', '7')
    .replaceAll('{leader}', options.leader);
}

function answerLine(line) {
  const [verb, key = '', ...rest] = line.replace(/\r$/, '').split(' ');
  const known = data.has(key);
  switch (verb.toLowerCase()) {
    case 'put':
      if (follows) return filled('refusal', key);
      apply(`${key}\t${rest.join(' ')}`, true);
      return filled('put', key, rest.join(' '));
    case 'get':
      return known ? filled('get', key, data.get(key)) : filled('missing', key);
    case 'delete':
      if (follows) return filled('refusal', key);
      if (known) apply(key, true);
      return filled(known ? 'delete' : 'absent', key);
    default:
      return 'ERR unknown command';
  }
}

function answerJson(line) {
  let request;
  try {
    request = JSON.parse(line);
  } catch {
    return JSON.stringify({ ok: false, error: 'no JSON' });
  }
  const { op, key, value } = request;
  const known = data.has(key);
  if (op === 'get') {
    return JSON.stringify(known ? { ok: true, value: data.get(key) } : { ok: false, error: 'not found' });
  }
  if (op !== 'put' && op !== 'delete') return JSON.stringify({ ok: false, error: 'unknown op' });
  if (follows) return JSON.stringify({ ok: false, error: 'not the leader', leader: options.leader });
  if (op === 'put') {
    apply(`${key}\t${value}`, true);
    return JSON.stringify({ ok: true });
  }
  if (known) apply(key, true);
  return JSON.stringify(known ? { ok: true } : { ok: false, error: 'not found' });
}

if (style.handler === 'yes') process.on('SIGTERM', () => process.exit(0));
console.log(`[node] starting as ${follows ? 'FOLLOWER' : 'LEADER'} on port ${options.port}`);
const answer = style.protocol === 'json' ? answerJson : answerLine;
net.createServer((client) => {
  let buffer = '';
  client.on('error', () => client.destroy());
  client.on('data', (chunk) => {
    buffer += chunk;
    const lines = buffer.split('\n');
    buffer = lines.pop();
    lines.forEach((line) => client.write(`${answer(line)}\n`));
  });
}).listen(Number(options.port), '127.0.0.1');
