"use strict";
/*
 * Mocha reporter for hack/ladder.ts: one line of JSON per finished test, marked with a record separator so that it can
 * stand among whatever the tests print. (Mocha's own json-stream says nothing about skipped tests.)
 */
const { reporters } = require("mocha");

function send(event) {
  process.stdout.write(`\n\u001e${JSON.stringify(event)}\n`);
}

exports = module.exports = class LadderReporter extends reporters.Base {
  constructor(runner, options) {
    super(runner, options);
    const about = test => ({ title: test.fullTitle(), file: test.file, ms: test.duration });
    runner.on("start", () => send({ kind: "start", total: runner.total }));
    runner.on("pass", test => send({ kind: "pass", ...about(test) }));
    runner.on("pending", test => send({ kind: "skip", ...about(test) }));
    runner.on("fail", (test, error) => {
      send({ kind: "fail", ...about(test), error: String(error.stack ?? error.message ?? error) });
    });
    runner.on("end", () => send({ kind: "end" }));
  }
};
