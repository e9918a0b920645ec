import { type JSX, render } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Overview } from '../src/admin/api/answers.ts';
import { useAnswer } from './api.ts';
import { Backends } from './backends.tsx';
import { Certificates } from './certificates.tsx';
import { Explain } from './explain.tsx';
import { count } from './format.ts';
import { ObjectView } from './object.tsx';
import { OverviewView } from './overview.tsx';
import { type Place, linkTo, usePlace } from './place.ts';
import { Problems } from './problems.tsx';
import { Requests } from './requests.tsx';
import { Routes } from './routes.tsx';
import { System } from './system.tsx';

interface Tab {
  readonly view: string;
  readonly name: string;
  readonly count: (overview: Overview) => number | null;
}

const TABS: readonly Tab[] = [
  { view: 'overview', name: 'Overview', count: () => null },
  { view: 'routes', name: 'Routes', count: ({ routes }) => routes },
  {
    view: 'problems',
    name: 'Problems',
    count: ({ problems }) => problems.error + problems.warning + problems.info,
  },
  { view: 'conflicts', name: 'Conflicts', count: ({ conflicts }) => conflicts },
  { view: 'backends', name: 'Backends', count: ({ backends }) => backends },
  { view: 'certificates', name: 'Certificates', count: ({ certificates }) => certificates },
  { view: 'requests', name: 'Requests', count: () => null },
  { view: 'system', name: 'System', count: () => null },
];

function App(): JSX.Element {
  const place = usePlace();
  const { answer: overview, error } = useAnswer<Overview>('overview', 3_000);
  const search = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const inField = event.target instanceof HTMLElement && event.target.matches('input, select, textarea');
      if (event.key === 'Escape' && inField) (event.target as HTMLElement).blur();
      if (inField || event.ctrlKey || event.metaKey || event.altKey) return;
      const tab = TABS[Number(event.key) - 1];
      if (event.key === '/') {
        event.preventDefault();
        search.current?.focus();
      } else if (tab) {
        location.hash = linkTo(tab.view);
      }
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
  useEffect(() => {
    const tab = TABS.find(({ view }) => view === place.view);
    document.title = `${tab?.name ?? (place.rest.split('/').at(-1) || 'Explain')} · Portico`;
  }, [place]);
  return (
    <>
      <header>
        <a class="logo" href={linkTo('overview')}>
          <svg viewBox="0 0 64 64" width="22" height="22" aria-hidden="true">
            <path d="M32 6 60 22H4zM6 25h52v4H6zM10 32h6v20h-6zM23 32h6v20h-6zM35 32h6v20h-6zM48 32h6v20h-6zM4 55h56v5H4z" />
          </svg>
          Portico
        </a>
        <Search place={place} input={search} />
        <State overview={overview} error={error} />
        <Theme />
      </header>
      <nav class="tabs" aria-label="Views">
        {TABS.map(({ view, name, count: of }, index) => {
          const number = overview && of(overview);
          return (
            <a
              key={view}
              href={linkTo(view)}
              aria-current={place.view === view ? 'page' : undefined}
              title={`Key ${index + 1}`}
            >
              {name}
              {number !== null && <span class="tally">{count(number)}</span>}
            </a>
          );
        })}
      </nav>
      <main>
        <View place={place} overview={overview} />
      </main>
    </>
  );
}

function View({
  place,
  overview,
}: {
  readonly place: Place;
  readonly overview: Overview | null;
}): JSX.Element {
  switch (place.view) {
    case 'overview':
      return <OverviewView overview={overview} />;
    case 'routes':
      return <Routes place={place} />;
    case 'problems':
      return <Problems key="problems" place={place} conflicts={false} />;
    case 'conflicts':
      return <Problems key="conflicts" place={place} conflicts />;
    case 'backends':
      return <Backends place={place} />;
    case 'certificates':
      return <Certificates place={place} />;
    case 'requests':
      return <Requests place={place} keeps={overview?.keepsRequests ?? null} />;
    case 'system':
      return <System overview={overview} />;
    case 'object':
      return <ObjectView place={place} />;
    case 'explain':
      return <Explain place={place} />;
    default:
      return <p class="note">There is no such view.</p>;
  }
}

function Search({
  place,
  input,
}: {
  readonly place: Place;
  readonly input: { current: HTMLInputElement | null };
}): JSX.Element {
  const shown = place.view === 'explain' ? (place.query.get('url') ?? '') : '';
  const [text, setText] = useState(shown);
  useEffect(() => setText(shown), [shown]);
  return (
    <form
      class="search"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        const url = text.trim();
        if (url !== '') location.hash = linkTo('explain', { url });
      }}
    >
      <input
        ref={input}
        type="search"
        aria-label="Explain a URL"
        placeholder="Where does a URL go? https://shop.example.com/cart"
        value={text}
        spellcheck={false}
        autocomplete="off"
        maxLength={2_000}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <kbd>/</kbd>
    </form>
  );
}

function State({
  overview,
  error,
}: {
  readonly overview: Overview | null;
  readonly error: string | null;
}): JSX.Element {
  const [tone, text] =
    error !== null
      ? (['bad', 'no answer'] as const)
      : overview === null
        ? (['plain', '…'] as const)
        : overview.ready
          ? (['good', 'ready'] as const)
          : (['bad', 'not ready'] as const);
  return (
    <a class="state" href={linkTo('system')} title={error ?? 'The process itself'}>
      <span class={`dot ${tone}`} /> {text}
      {overview && <span class="faint">generation {count(overview.generation)}</span>}
    </a>
  );
}

const THEMES = ['auto', 'light', 'dark'] as const;

function Theme(): JSX.Element {
  const [theme, setTheme] = useState<string>(() => kept('theme') ?? 'auto');
  useEffect(() => {
    if (theme === 'auto') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = theme;
  }, [theme]);
  return (
    <select
      class="theme"
      aria-label="Colours"
      value={theme}
      onChange={(event) => {
        setTheme(event.currentTarget.value);
        keep('theme', event.currentTarget.value);
      }}
    >
      {THEMES.map((each) => (
        <option key={each} value={each}>
          {each}
        </option>
      ))}
    </select>
  );
}

/** A browser may keep nothing for pages. */
function kept(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

function keep(name: string, value: string): void {
  try {
    localStorage.setItem(name, value);
  } catch {
    // The next visit begins anew.
  }
}

const root = document.getElementById('page');
root?.replaceChildren();
if (root) render(<App />, root);
