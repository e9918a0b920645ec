/** The value of a cookie in a Cookie field (RFC 6265 4.2), the first of that name; undefined when there is none. */
export function cookieValue(field: string | undefined, name: string): string | undefined {
  if (field === undefined) return undefined;
  let from = 0;
  for (;;) {
    while (field.charCodeAt(from) === 0x20) from++;
    const semicolon = field.indexOf(';', from);
    const end = semicolon < 0 ? field.length : semicolon;
    if (field.charCodeAt(from + name.length) === 0x3d && field.startsWith(name, from)) {
      return field.slice(from + name.length + 1, end).trimEnd();
    }
    if (semicolon < 0) return undefined;
    from = semicolon + 1;
  }
}
