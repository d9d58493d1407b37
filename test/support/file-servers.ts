/** Real servers of files, as commands that serve a folder on all addresses. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { cacheFolder } from "../../hack/cluster/settings";
import { goProgram } from "./go-program";

/** A program and its arguments. */
type Command = readonly [string, ...string[]];

/** Python's `http.server`. */
export function pythonFiles(folder: string, port: number): Command {
  return ["python3", "-m", "http.server", "--directory", folder, String(port)];
}

/** Go's `net/http`. */
export function goFiles(folder: string, port: number): Command {
  return [goProgram("serve-files"), folder, String(port)];
}

/** Path of nginx: that of this machine, or Debian's, unpacked into the cache. Throws where there is no apt-get. */
function nginxProgram(): string {
  const place = path.join(cacheFolder(), "bin", "nginx-debian");
  const found = ["/usr/sbin/nginx", path.join(place, "usr", "sbin", "nginx")].find(existsSync);
  if (found !== undefined) return found;
  mkdirSync(place, { recursive: true });
  execFileSync("apt-get", ["download", "-q", "nginx"], { cwd: place, stdio: "pipe" });
  const archive = readdirSync(place).find(name => name.endsWith(".deb")) ?? "";
  execFileSync("dpkg-deb", ["-x", archive, "."], { cwd: place, stdio: "pipe" });
  return path.join(place, "usr", "sbin", "nginx");
}

/** nginx as it is when nothing but the folder and the port are said; what it writes goes to `scratch`. */
export function nginxFiles(folder: string, port: number, scratch: string): Command {
  const config = path.join(scratch, "nginx.conf");
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    name => `${name}_temp_path ${path.join(scratch, name)};`,
  );
  const server = `server { listen 0.0.0.0:${port}; root ${folder}; }`;
  writeFileSync(
    config,
    [
      "daemon off; master_process off; user root; error_log /dev/null;",
      `pid ${path.join(scratch, "nginx.pid")};`,
      "events {}",
      `http { access_log off; ${temporary.join(" ")} ${server} }`,
    ].join("\n"),
  );
  return [nginxProgram(), "-e", "/dev/null", "-p", scratch, "-c", config];
}
