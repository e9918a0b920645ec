/**
 * Options for a server of node:http that stands for a Pod. By default it closes a connection that is idle for 5 seconds: on
 * a busy machine just when the next request is sent on it, which is rightly answered 502 if it must not be repeated.
 */
export const STAYS_OPEN = { keepAliveTimeout: 600_000 };
