/**
 * The two ends of a redirect test, run in a pod's network namespace. `serve <ports>` answers each connection with the
 * number of the port it really reached; `call <uid> <gid> <host,port …>` connects as that user and prints what answered.
 * Plain JavaScript, because each call is a process of its own.
 */
const net = require("node:net");

function serve(ports) {
  let open = 0;
  for (const port of ports) {
    const server = net.createServer(socket => {
      socket.on("error", () => socket.destroy());
      socket.end(String(port));
    });
    server.listen({ port, host: "::", ipv6Only: false }, () => {
      open += 1;
      if (open === ports.length) process.stdout.write("ready\n");
    });
  }
}

function call(host, port) {
  return new Promise(resolve => {
    let text = "";
    const socket = net.connect({ host, port, timeout: 3000 });
    socket.on("data", chunk => (text += chunk.toString()));
    socket.on("error", error => resolve(error.code ?? "error"));
    socket.on("timeout", () => {
      socket.destroy();
      resolve("timeout");
    });
    socket.on("end", () => resolve(text));
  });
}

async function callAs(uid, gid, targets) {
  process.setgroups([]);
  process.setgid(gid);
  process.setuid(uid);
  const answers = {};
  for (const target of targets) {
    const [host, port] = target.split(",");
    answers[target] = await call(host, Number(port));
  }
  process.stdout.write(JSON.stringify(answers));
}

const [mode, ...rest] = process.argv.slice(2);
if (mode === "serve") serve(rest.map(Number));
else {
  const [uid, gid, ...targets] = rest;
  void callAs(Number(uid), Number(gid), targets);
}
