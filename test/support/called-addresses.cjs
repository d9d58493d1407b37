/**
 * Preloaded into a process of a test (`--require`): notes whom it calls, below all libraries, where Node hands a connection, a
 * datagram or a name to the operating system. Each is one line, once, in the file that OSM_CALLED names.
 */
const { createHook } = require("node:async_hooks");
const { appendFileSync } = require("node:fs");

/** Kinds of requests to the operating system, and what is said of each. */
const WATCHED = {
  TCPCONNECTWRAP: ({ address, port }) => `tcp ${address}:${port}`,
  PIPECONNECTWRAP: ({ address }) => `pipe ${address}`,
  // Datagrams mostly leave without a request of their own: a socket for them is as much as can be told.
  UDPWRAP: () => "udp socket",
  GETADDRINFOREQWRAP: ({ hostname }) => `name ${hostname}`,
  QUERYWRAP: ({ hostname }) => `query ${hostname}`,
};

const file = process.env.OSM_CALLED;
const seen = new Set();

function note(line) {
  if (seen.has(line)) return;
  seen.add(line);
  appendFileSync(file, `${line}\n`);
}

if (file !== undefined)
  createHook({
    init(_id, type, _trigger, resource) {
      const say = WATCHED[type];
      // What is asked for is written into the request right after it was made.
      if (say !== undefined) queueMicrotask(() => note(say(resource)));
    },
  }).enable();
