import { expect } from "chai";
import { frames, tcpFlows } from "../../../hack/demo/capture/pcap";

interface Packet {
  readonly from: readonly [string, number];
  readonly to: readonly [string, number];
  readonly sequence: number;
  readonly payload: string;
  /** Bytes of Ethernet padding after the packet. */
  readonly padding?: number;
}

function ethernet(packet: Packet): Buffer {
  const tcp = Buffer.alloc(20);
  tcp.writeUInt16BE(packet.from[1], 0);
  tcp.writeUInt16BE(packet.to[1], 2);
  tcp.writeUInt32BE(packet.sequence >>> 0, 4);
  tcp.writeUInt8(5 << 4, 12);
  const body = Buffer.concat([tcp, Buffer.from(packet.payload)]);
  const ip = Buffer.alloc(20);
  ip.writeUInt8(0x45, 0);
  ip.writeUInt16BE(20 + body.length, 2);
  ip.writeUInt8(6, 9);
  Buffer.from(packet.from[0].split(".").map(Number)).copy(ip, 12);
  Buffer.from(packet.to[0].split(".").map(Number)).copy(ip, 16);
  const head = Buffer.alloc(14);
  head.writeUInt16BE(0x0800, 12);
  return Buffer.concat([head, ip, body, Buffer.alloc(packet.padding ?? 0, 0xee)]);
}

function pcap(packets: readonly Packet[]): Buffer {
  const head = Buffer.alloc(24);
  head.writeUInt32LE(0xa1b2c3d4, 0);
  head.writeUInt32LE(1, 20);
  const parts = packets.map(ethernet).map(frame => {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(frame.length, 8);
    record.writeUInt32LE(frame.length, 12);
    return Buffer.concat([record, frame]);
  });
  return Buffer.concat([head, ...parts]);
}

const there = { from: ["10.0.0.1", 4000], to: ["10.0.0.2", 14001] } as const;
const back = { from: there.to, to: there.from } as const;

function payloads(packets: readonly Packet[]): string[] {
  return tcpFlows(pcap(packets)).map(flow => flow.payload.toString());
}

describe("tcpFlows", () => {
  it("keeps the two directions apart and names their ends", () => {
    const [first, second] = tcpFlows(
      pcap([
        { ...there, sequence: 1, payload: "ask" },
        { ...back, sequence: 9, payload: "answer" },
      ]),
    );
    expect(first).to.include({
      source: "10.0.0.1",
      sourcePort: 4000,
      destination: "10.0.0.2",
      destinationPort: 14001,
    });
    expect(first?.payload.toString()).to.equal("ask");
    expect(second?.payload.toString()).to.equal("answer");
  });

  const rows: readonly [string, readonly [number, string][], string][] = [
    [
      "in order",
      [
        [0, "ab"],
        [2, "cd"],
      ],
      "abcd",
    ],
    [
      "out of order",
      [
        [0, "ab"],
        [4, "ef"],
        [2, "cd"],
      ],
      "abcdef",
    ],
    [
      "sent again",
      [
        [0, "ab"],
        [0, "ab"],
        [2, "cd"],
      ],
      "abcd",
    ],
    [
      "sent again in part",
      [
        [0, "abc"],
        [1, "bcde"],
      ],
      "abcde",
    ],
    [
      "across the end of the numbers",
      [
        [0xfffffffe, "ab"],
        [0, "cd"],
      ],
      "abcd",
    ],
    [
      "with an earlier segment captured later",
      [
        [2, "cd"],
        [0, "ab"],
      ],
      "abcd",
    ],
    [
      "without payload",
      [
        [0, ""],
        [0, "ab"],
      ],
      "ab",
    ],
  ];
  for (const [name, segments, want] of rows) {
    it(`joins segments ${name}`, () => {
      expect(payloads(segments.map(([sequence, payload]) => ({ ...there, sequence, payload })))).to.eql([
        want,
      ]);
    });
  }

  it("leaves out the padding of short frames", () => {
    expect(payloads([{ ...there, sequence: 0, payload: "a", padding: 5 }])).to.eql(["a"]);
  });

  it("leaves out a frame that is cut off at the end of the capture", () => {
    const whole = pcap([
      { ...there, sequence: 0, payload: "ab" },
      { ...there, sequence: 2, payload: "cd" },
    ]);
    expect(tcpFlows(whole.subarray(0, whole.length - 1))[0]?.payload.toString()).to.equal("ab");
  });

  it("refuses what is no capture", () => {
    expect(() => frames(Buffer.from("no capture at all, but long enough"))).to.throw("libpcap");
    expect(() => frames(Buffer.alloc(3))).to.throw("libpcap");
  });
});
