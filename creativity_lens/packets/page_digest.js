// The digest that seals a page's data and an answers file, computed as Python computes it.
// As Python writes it: keys sorted, no spaces, all but printable ASCII escaped. Numbers are whole.
function canonical(value) {
  if (Array.isArray(value)) return "[" + value.map(canonical).join(",") + "]";
  if (value !== null && typeof value === "object") {
    const names = Object.keys(value).sort();
    const parts = names.map(function (name) { return quoted(name) + ":" + canonical(value[name]); });
    return "{" + parts.join(",") + "}";
  }
  return typeof value === "string" ? quoted(value) : JSON.stringify(value);
}

function quoted(text) {
  return JSON.stringify(text).replace(/[\u007f-\uffff]/g, function (letter) {
    return "\\u" + ("000" + letter.charCodeAt(0).toString(16)).slice(-4);
  });
}

// SHA-256 (FIPS 180-4) of ASCII text, in hexadecimal. The browser's own is not there on pages opened from a file.
function sha256(text) {
  const primes = [];
  for (let n = 2; primes.length < 64; n++) {
    if (primes.every(function (prime) { return n % prime; })) primes.push(n);
  }
  const fraction = function (number) { return ((number - Math.floor(number)) * 4294967296) | 0; };
  const K = primes.map(function (prime) { return fraction(Math.cbrt(prime)); });
  const H = primes.slice(0, 8).map(function (prime) { return fraction(Math.sqrt(prime)); });
  const length = text.length;
  const blocks = new Uint8Array(64 * Math.ceil((length + 9) / 64));
  for (let i = 0; i < length; i++) blocks[i] = text.charCodeAt(i);
  blocks[length] = 128;
  const view = new DataView(blocks.buffer);
  view.setUint32(blocks.length - 8, Math.floor(length / 536870912));
  view.setUint32(blocks.length - 4, (length << 3) >>> 0);
  const w = new Int32Array(64);
  const turn = function (x, by) { return (x >>> by) | (x << (32 - by)); };
  for (let at = 0; at < blocks.length; at += 64) {
    for (let i = 0; i < 64; i++) {
      if (i < 16) {
        w[i] = view.getInt32(at + 4 * i);
        continue;
      }
      const s0 = turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ (w[i - 15] >>> 3);
      const s1 = turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ (w[i - 2] >>> 10);
      w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
    }
    const s = H.slice();
    for (let i = 0; i < 64; i++) {
      const S1 = turn(s[4], 6) ^ turn(s[4], 11) ^ turn(s[4], 25);
      const S0 = turn(s[0], 2) ^ turn(s[0], 13) ^ turn(s[0], 22);
      const one = (s[7] + S1 + ((s[4] & s[5]) ^ (~s[4] & s[6])) + K[i] + w[i]) | 0;
      const two = (S0 + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]))) | 0;
      s.unshift((one + two) | 0);
      s.pop();
      s[4] = (s[4] + one) | 0;
    }
    for (let i = 0; i < 8; i++) H[i] = (H[i] + s[i]) | 0;
  }
  return H.map(function (word) { return ("0000000" + (word >>> 0).toString(16)).slice(-8); }).join("");
}

function intact() {
  const whole = {};
  Object.keys(data).forEach(function (name) { if (name !== "digest") whole[name] = data[name]; });
  return sha256(canonical(whole)) === data.digest;
}
