import {
  ErrorCode,
  FIRST_WINDOW,
  FRAME_BYTES,
  LARGEST_WINDOW,
  Setting,
  readUint32,
  writeUint32,
} from './frame.ts';

/** What one side of a connection wants of the other (RFC 9113 6.5.2). */
export interface Settings {
  headerTableBytes: number;
  /** The least of those that the last SETTINGS frame went through (RFC 7541 4.2). */
  leastTableBytes: number;
  maxConcurrentStreams: number;
  initialWindow: number;
  /** RFC 8441 3: streams may become tunnels. */
  connectProtocol: boolean;
}

/** What counts until the first SETTINGS frame is there. */
export function firstSettings(): Settings {
  return {
    headerTableBytes: 4_096,
    leastTableBytes: 4_096,
    maxConcurrentStreams: Number.POSITIVE_INFINITY,
    initialWindow: FIRST_WINDOW,
    connectProtocol: false,
  };
}

const ENTRY_BYTES = 6;

/** Takes the payload of a SETTINGS frame of a client or a server over; a code when it breaks the rules. */
export function readSettings(
  settings: Settings,
  sender: 'client' | 'server',
  bytes: Buffer,
  from: number,
  to: number,
): ErrorCode | null {
  if ((to - from) % ENTRY_BYTES !== 0) return ErrorCode.frameSizeError;
  settings.leastTableBytes = settings.headerTableBytes;
  for (let at = from; at < to; at += ENTRY_BYTES) {
    const value = readUint32(bytes, at + 2);
    switch (((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)) {
      case Setting.headerTableSize:
        settings.headerTableBytes = value;
        settings.leastTableBytes = Math.min(settings.leastTableBytes, value);
        break;
      case Setting.enablePush:
        if (value > (sender === 'client' ? 1 : 0)) return ErrorCode.protocolError;
        break;
      case Setting.maxConcurrentStreams:
        settings.maxConcurrentStreams = value;
        break;
      case Setting.initialWindowSize:
        if (value > LARGEST_WINDOW) return ErrorCode.flowControlError;
        settings.initialWindow = value;
        break;
      case Setting.maxFrameSize:
        // We send none that is larger than everybody must take.
        if (value < FRAME_BYTES || value > LARGEST_FRAME) return ErrorCode.protocolError;
        break;
      case Setting.enableConnectProtocol:
        // RFC 8441 3: once said, it stays.
        if (value > 1 || (value === 0 && settings.connectProtocol)) return ErrorCode.protocolError;
        settings.connectProtocol = value === 1;
        break;
      default:
        break;
    }
  }
  return null;
}

const LARGEST_FRAME = 2 ** 24 - 1;

/** The payload that says these, each by its number. */
export function settingsPayload(entries: readonly (readonly [setting: number, value: number])[]): Buffer {
  const payload = Buffer.alloc(entries.length * ENTRY_BYTES);
  entries.forEach(([setting, value], index) => {
    payload[index * ENTRY_BYTES + 1] = setting;
    writeUint32(payload, index * ENTRY_BYTES + 2, value);
  });
  return payload;
}
