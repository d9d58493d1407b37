/** Ports of the application, by what it speaks there. */
export const PORTS = {
  /** HTTP/1.1 and WebSocket. */
  http: 8080,
  /** HTTP/2 with prior knowledge. */
  h2c: 8081,
  grpc: 8082,
  /** HTTP/1.1, which one Service declares as http and another as tcp. */
  disputed: 8083,
  /** TCP echo. */
  tcp: 9000,
  /** TCP echo, declared with a protocol nobody knows. */
  odd: 9001,
  /** TCP where the server speaks first. */
  greeting: 3306,
  /** TCP, every byte back. */
  echo: 9002,
  /** HTTP/1.1 with unusual answers. */
  awkward: 8084,
  /** HTTP/2, the body back. */
  echo2: 8085,
  /** HTTP/1.1 that no Service leads to. */
  unlisted: 7000,
} as const;
