/** What `portico top` shows first. */
export const TOP_ORDERS = ['requests', 'errors', 'latency'] as const;
export type TopOrder = (typeof TOP_ORDERS)[number];
