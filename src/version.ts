/** Kept equal to package.json by a test; reading a file at start would be one more thing the image must hold. */
export const VERSION = '0.1.0';
