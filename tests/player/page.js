// The page's half of the driver: opens a package with hls.js or dash.js, seeks, switches, and says what was seen and heard.
//
// The source has its picture's number as 16 squares over the upper quarter of the picture (white is 1, the lowest bit is leftmost), and the
// inverse below it; and a beep of 40 ms at each whole second.
"use strict";

const video = document.getElementById("video");
const canvas = new OffscreenCanvas(64, 8);
const context = canvas.getContext("2d", { willReadFrequently: true });
const errors = [];
let engine;

// Rejects after some seconds, with what was waited for.
function within(seconds, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${seconds} s, at ${video.currentTime} s, ready ${video.readyState}`)), seconds * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

const once = (target, event) => new Promise((resolve) => target.addEventListener(event, resolve, { once: true }));
const nextFrame = () => new Promise((resolve) => video.requestVideoFrameCallback((now, metadata) => resolve({ now, metadata })));

// Returns the number in the picture that is shown; null if its squares contradict each other.
function shownNumber() {
  // The upper half of the picture, four pixels for each square.
  context.drawImage(video, 0, 0, video.videoWidth, video.videoHeight / 2, 0, 0, 64, 8);
  const pixels = context.getImageData(0, 0, 64, 8).data;
  const level = (column, row) => pixels[(row * 64 + column * 4 + 2) * 4];
  let number = 0;
  for (let bit = 0; bit < 16; bit += 1) {
    const [upper, lower] = [level(bit, 2) > 128, level(bit, 6) > 128];
    if (upper === lower) return null;
    if (upper) number += 2 ** bit;
  }
  return number;
}

const engines = {
  // A plain file, by the browser itself: what the harness measures of a source whose sound and pictures are together.
  file(url) {
    video.src = url;
    const none = () => [];
    return { ready: once(video, "loadedmetadata"), rungs: () => [{ height: video.videoHeight }], audio: none, text: none, select() {}, version: "" };
  },
  hls(url) {
    const hls = new Hls({ enableWorker: false, startLevel: 0, maxBufferLength: 10, maxMaxBufferLength: 12, backBufferLength: 5 });
    hls.on(Hls.Events.ERROR, (_, data) => {
      // A pause of the machine's, or a request that a switch ends, isn't the package's.
      if (data.fatal || !["bufferStalledError", "bufferNudgeOnStall", "aborted"].includes(data.details)) errors.push(`${data.details}: ${data.reason || data.error}`);
    });
    hls.loadSource(url);
    hls.attachMedia(video);
    return {
      ready: new Promise((resolve) => hls.on(Hls.Events.MANIFEST_PARSED, resolve)),
      rungs: () => hls.levels.map((level) => ({ width: level.width, height: level.height, bandwidth: level.bitrate, codecs: level.attrs.CODECS })),
      audio: () => hls.audioTracks.map((track) => ({ language: track.lang, name: track.name })),
      text: () => hls.subtitleTracks.map((track) => ({ language: track.lang, name: track.name })),
      select: (rung) => { hls.nextLevel = rung; },
      version: Hls.version,
    };
  },
  dash(url) {
    const player = dashjs.MediaPlayer().create();
    player.initialize();
    player.updateSettings({ debug: { logLevel: 0 }, streaming: { abr: { autoSwitchBitrate: { video: false, audio: false } }, buffer: { fastSwitchEnabled: true, bufferTimeDefault: 10, bufferTimeAtTopQuality: 10, bufferTimeAtTopQualityLongForm: 10 } } });
    player.on(dashjs.MediaPlayer.events.ERROR, (event) => errors.push(event.error.message));
    const ready = new Promise((resolve) => player.on(dashjs.MediaPlayer.events.STREAM_INITIALIZED, resolve));
    player.attachView(video);
    player.attachSource(url);
    const list = (type) => player.getTracksFor(type).map((track) => ({ language: track.lang, name: (track.labels[0] || {}).text || "" }));
    return {
      ready,
      rungs: () => player.getRepresentationsByType("video").map((one) => ({ width: one.width, height: one.height, bandwidth: one.bandwidth || one.bitrateInKbit * 1000, codecs: one.codecs })),
      audio: () => list("audio"),
      text: () => list("text"),
      select: (rung) => player.setRepresentationForTypeByIndex("video", rung, true),
      version: player.getVersion(),
    };
  },
};

const player = {
  async open(kind, url) {
    engine = engines[kind](url);
    await within(20, "opening", engine.ready);
    await within(20, "the first picture", video.readyState >= 2 ? Promise.resolve() : once(video, "loadeddata"));
    return { version: engine.version, duration: video.duration, rungs: engine.rungs(), audio: engine.audio(), text: engine.text() };
  },

  // Seeks while paused; returns the number of the picture that is shown then.
  async seek(seconds) {
    video.pause();
    const began = performance.now();
    const shown = nextFrame();
    const done = once(video, "seeked");
    video.currentTime = seconds;
    await within(15, `a seek to ${seconds}`, done);
    // No new picture is shown if it is the one already.
    await Promise.race([shown, new Promise((resolve) => setTimeout(resolve, 500))]);
    return { seconds, shown: shownNumber(), milliseconds: Math.round(performance.now() - began), height: video.videoHeight };
  },

  // Selects a rung while it plays, and waits until its pictures are shown.
  async switchTo(rung) {
    const { height } = engine.rungs()[rung];
    if (video.videoHeight === height) return { rung, height, milliseconds: 0 };
    const began = performance.now();
    engine.select(rung);
    if (video.paused) await video.play();
    const switched = (async () => {
      while (video.videoHeight !== height) await Promise.race([nextFrame(), new Promise((resolve) => setTimeout(resolve, 200))]);
    })();
    await within(20, `a switch to ${height}`, switched);
    return { rung, height, milliseconds: Math.round(performance.now() - began) };
  },

  // Plays from a time on, and selects one rung after the other; returns what was shown and heard.
  async play(from, seconds, rate, switches) {
    await player.seek(from);
    const frames = [];
    let [waits, isOver] = [0, false];
    const noteWait = () => { waits += 1; };
    const sound = await listen();
    await video.play();
    video.addEventListener("waiting", noteWait);
    const watch = (now, metadata) => {
      if (isOver) return;
      frames.push({ number: shownNumber(), time: metadata.mediaTime, count: metadata.presentedFrames, at: metadata.expectedDisplayTime, late: Math.max(0, performance.now() - metadata.expectedDisplayTime), height: video.videoHeight });
      video.requestVideoFrameCallback(watch);
    };
    video.requestVideoFrameCallback(watch);
    const until = Math.min(from + seconds, video.duration - 0.2);
    const selected = [];
    const playing = (async () => {
      for (let step = 0; video.currentTime < until && !video.ended; step += 1) {
        const due = from + ((step + 1) * (until - from)) / (switches.length + 1);
        while (video.currentTime < Math.min(due, until) && !video.ended) await new Promise((resolve) => setTimeout(resolve, 20));
        if (step < switches.length) {
          engine.select(switches[step]);
          selected.push({ rung: switches[step], at: video.currentTime });
        }
      }
    })();
    await within(seconds * 3 + 20, "playing", playing);
    isOver = true;
    video.removeEventListener("waiting", noteWait);
    video.pause();
    return { waits, selected, heights: [...new Set(frames.map((frame) => frame.height))], ...judge(frames, rate), ...sound.offsets(frames) };
  },

  errors: () => errors,
};

// Compares the numbers of pictures with their times, and with each other.
function judge(frames, rate) {
  const result = { frames: frames.length, unreadable: 0, wrong: [], repeated: 0, backwards: 0, lost: 0, skipped: 0 };
  frames.forEach((frame, at) => {
    if (frame.number === null) { result.unreadable += 1; return; }
    // The picture is read a frame later than it was announced, or more where the machine was late.
    const ahead = frame.number - frame.time * rate;
    if (ahead < -1.01 || ahead > 1.01 + (frame.late / 1000) * rate) result.wrong.push({ shown: frame.number, expected: frame.time * rate });
    const before = frames[at - 1];
    if (!before || before.number === null) return;
    const [step, presented] = [frame.number - before.number, frame.count - before.count];
    if (step < 0) result.backwards += 1;
    // Pictures with other times, and the same number.
    if (step === 0 && Math.abs(frame.time - before.time) > 0.5 / rate) result.repeated += 1;
    // Pictures that the machine was too slow to show are skipped by the player, and not lost by the package.
    if (step > 1) result[Math.abs((frame.time - before.time) * rate - step) < 0.6 || presented > 1 ? "skipped" : "lost"] += step - 1;
  });
  return result;
}

// Hears the beeps: returns how far each is from the picture of its second.
let hearing;
async function listen() {
  if (!hearing) {
    const audio = new AudioContext();
    const code = `registerProcessor("beeps", class extends AudioWorkletProcessor {
      process([input]) {
        const samples = input[0] || [];
        for (let i = 0; i < samples.length; i += 1) {
          if (Math.abs(samples[i]) > 0.2) {
            if (currentFrame + i - (this.last ?? -1e9) > sampleRate / 4) this.port.postMessage((currentFrame + i) / sampleRate);
            this.last = currentFrame + i;
          }
        }
        return true;
      }
    })`;
    await audio.audioWorklet.addModule(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
    const node = new AudioWorkletNode(audio, "beeps");
    audio.createMediaElementSource(video).connect(node);
    node.connect(audio.destination);
    await audio.resume();
    hearing = { audio, node };
  }
  const beeps = [];
  hearing.node.port.onmessage = ({ data }) => {
    // Clocks of sound and of the page, read together.
    const { contextTime, performanceTime } = hearing.audio.getOutputTimestamp();
    beeps.push(performanceTime + (data - contextTime) * 1000);
  };
  return {
    offsets(frames) {
      const offsets = [];
      for (const beep of beeps) {
        // The media time of the pictures at the moment of the beep.
        const at = frames.findIndex((frame) => frame.at > beep);
        if (at < 1) continue;
        const [before, after] = [frames[at - 1], frames[at]];
        if (after.at - before.at > 200 || after.time <= before.time) continue;
        const time = before.time + ((beep - before.at) / (after.at - before.at)) * (after.time - before.time);
        offsets.push(Math.round((time - Math.round(time)) * 1000));
      }
      const sorted = [...offsets].sort((one, other) => one - other);
      return { beeps: beeps.length, offsets, offset: sorted.length ? sorted[Math.floor(sorted.length / 2)] : null };
    },
  };
}
window.player = player;
