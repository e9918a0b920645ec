import type { ComponentChildren, JSX } from 'preact';

export interface FilterProps {
  readonly label: string;
  readonly placeholder: string;
  readonly value: string;
  readonly onChange: (text: string) => void;
  readonly count: string;
  readonly children?: ComponentChildren;
}

/** What is above a list: its filter, and how much is left. */
export function Filter({ label, placeholder, value, onChange, count, children }: FilterProps): JSX.Element {
  return (
    <div class="filter">
      <input
        type="search"
        aria-label={label}
        placeholder={placeholder}
        value={value}
        spellcheck={false}
        maxLength={500}
        onInput={(event) => onChange(event.currentTarget.value)}
      />
      {children}
      <span class="faint" role="status">
        {count}
      </span>
    </div>
  );
}
