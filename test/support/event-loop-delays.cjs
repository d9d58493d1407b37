/**
 * Loaded before a program (`NODE_OPTIONS=--require`): notes how late its event loop is, every 10 ms, in the file that
 * `OSM_DELAYS` names, as lines of JSON `{"at":epoch ms,"lateMs":[…]}`. For processes that have no channel to be asked by.
 */
"use strict";
const { appendFileSync } = require("node:fs");

const file = process.env.OSM_DELAYS;
const EVERY_MS = 10;
const WRITE_MS = 200;

if (file !== undefined) {
  let due = performance.now() + EVERY_MS;
  let written = performance.now();
  let late = [];
  const look = () => {
    const now = performance.now();
    late.push(Math.max(0, Math.round(now - due)));
    if (now - written >= WRITE_MS) {
      appendFileSync(file, `${JSON.stringify({ at: Date.now(), lateMs: late })}\n`);
      late = [];
      written = now;
    }
    due = performance.now() + EVERY_MS;
    setTimeout(look, EVERY_MS).unref();
  };
  setTimeout(look, EVERY_MS).unref();
}
