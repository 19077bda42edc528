// Plays a package in Chromium, and prints what was seen as JSON:
//
//   node driver.mjs FOLDER MANIFEST RATE [SEGMENT_STARTS]
//
// FOLDER is served on loopback, with byte ranges. MANIFEST is its master.m3u8 (hls.js), manifest.mpd (dash.js), or a file, which the browser plays
// itself, to measure the harness. RATE is the source's pictures
// per second. SEGMENT_STARTS: comma-separated seconds; each is sought, with the last picture before it.
// Environment: MILLRACE_PLAYER, where scripts/player.sh installed modules (default: target/player); CHROMIUM, the browser.
import { createReadStream, promises as files } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const [folder, manifest, rateText, startsText = ""] = process.argv.slice(2);
if (!folder || !manifest || !(Number(rateText) > 0)) {
  console.error("usage: driver.mjs FOLDER MANIFEST RATE [SEGMENT_STARTS]");
  process.exit(2);
}
const rate = Number(rateText);
const modules = path.join(path.resolve(process.env.MILLRACE_PLAYER || path.join(here, "../../target/player")), "node_modules");
const { chromium } = createRequire(path.join(modules, "x.js"))("playwright-core");

const TYPES = { ".m3u8": "application/vnd.apple.mpegurl", ".mpd": "application/dash+xml", ".m4s": "video/iso.segment", ".mp4": "video/mp4", ".vtt": "text/vtt", ".js": "text/javascript", ".html": "text/html" };
const misses = [];
let [requests, ranges] = [0, 0];

// Serves the page, the modules and the package; a path never leads out of its root.
async function serve(request, response) {
  const { pathname } = new URL(request.url, "http://localhost");
  const parts = pathname.split("/").filter(Boolean).map(decodeURIComponent);
  const root = { modules, package: path.resolve(folder) }[parts[0]];
  const file = root ? path.join(root, ...parts.slice(1)) : path.join(here, ...parts);
  const within = file.startsWith((root || here) + path.sep);
  const status = within && (await files.stat(file).catch(() => null));
  if (!status || !status.isFile()) {
    misses.push(pathname);
    response.writeHead(404).end();
    return;
  }
  requests += 1;
  const headers = { "content-type": TYPES[path.extname(file)] || "application/octet-stream", "accept-ranges": "bytes", "cache-control": "no-store" };
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range || "");
  if (!range) {
    response.writeHead(200, { ...headers, "content-length": status.size });
    createReadStream(file).pipe(response);
    return;
  }
  ranges += 1;
  const start = Number(range[1]);
  const end = Math.min(range[2] ? Number(range[2]) : status.size - 1, status.size - 1);
  if (start > end) {
    misses.push(`${pathname} ${request.headers.range}`);
    response.writeHead(416, { "content-range": `bytes */${status.size}` }).end();
    return;
  }
  response.writeHead(206, { ...headers, "content-length": end - start + 1, "content-range": `bytes ${start}-${end}/${status.size}` });
  createReadStream(file, { start, end }).pipe(response);
}

const server = createServer((request, response) => serve(request, response).catch(() => response.destroy()));
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const origin = `http://127.0.0.1:${server.address().port}`;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  headless: true,
  args: ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--disable-gpu", "--disable-background-timer-throttling"],
});
let failure;
try {
  const page = await browser.newPage();
  const messages = [];
  page.on("pageerror", (error) => messages.push(String(error)));
  await page.goto(`${origin}/page.html`);
  const kind = { ".mpd": "dash", ".m3u8": "hls" }[path.extname(manifest)] || "file";
  const call = (name, ...given) => page.evaluate(([name, given]) => window.player[name](...given), [name, given]);
  const opened = await call("open", kind, `${origin}/package/${manifest}`);
  const seeks = [];
  const seek = async (number) => {
    // The middle of a picture, so that no rounding decides.
    const seen = await call("seek", (number + 0.5) / rate);
    seeks.push({ ...seen, wanted: number });
  };
  const starts = startsText.split(",").filter(Boolean).map(Number);
  // Forwards across each boundary, then backwards, so that not all is in the buffer already.
  for (const start of [...starts, ...starts.slice().reverse()]) {
    const first = Math.round(start * rate);
    if (first > 0) await seek(first - 1);
    await seek(first);
  }
  const rungs = opened.rungs.map((_, rung) => rung);
  const switched = [];
  for (const rung of [...rungs, ...rungs.slice().reverse()]) {
    if (rungs.length < 2) break;
    await call("seek", 0.02);
    switched.push(await call("switchTo", rung));
  }
  const played = await call("play", 0, opened.duration, rate, rungs.slice().reverse());
  const errors = [...messages, ...(await call("errors"))];
  const wrong = seeks.filter((one) => one.shown !== one.wanted);
  console.log(JSON.stringify({ kind, browser: browser.version(), ...opened, seeks: seeks.length, wrong, slowest: Math.max(0, ...seeks.map((one) => one.milliseconds)), switched, played, requests, ranges, misses, errors }));
} catch (error) {
  failure = error;
} finally {
  await browser.close();
  server.close();
}
if (failure) {
  console.error(String(failure));
  console.error(JSON.stringify({ misses }));
  process.exit(1);
}
