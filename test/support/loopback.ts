let given = 0;

/**
 * A loopback address that nobody else uses: the whole of 127.0.0.0/8 is this machine, so a test that has an address of
 * its own can have whichever ports it likes. Two test processes differ in the middle two numbers, by their ids.
 */
export function loopbackAddress(): string {
  given++;
  if (given > 250) throw new Error('one test process asked for more than 250 loopback addresses');
  const { pid } = process;
  return `127.${64 + ((pid >> 8) % 128)}.${pid % 256}.${given}`;
}
