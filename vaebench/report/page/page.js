'use strict';
(() => {
  const root = document.documentElement;
  const memory = {       // a page from disk may be refused its storage
    get() { try { return localStorage.getItem('vb-theme'); } catch { return null; } },
    set(value) { try { localStorage.setItem('vb-theme', value); } catch { /* not remembered */ } },
  };
  root.classList.add('js');
  if (['light', 'dark'].includes(memory.get())) root.dataset.theme = memory.get();

  const $$ = (query, from = document) => [...from.querySelectorAll(query)];
  const byId = id => document.getElementById(id);
  const make = (tag, props = {}, ...children) => {
    const node = Object.assign(document.createElement(tag), props);
    node.append(...children);
    return node;
  };
  const six = x => x === null ? '—' : String(Number(x.toPrecision(6))).replace('-', '−');
  const unique = list => [...new Set(list.filter(x => x !== null && x !== undefined))];
  const collator = new Intl.Collator('en', {numeric: true, sensitivity: 'base'});
  let data, pop;
  const text = index => index === null ? null : data.strings[index];
  const run = r => ({seed: r[0], reason: text(r[1]), file: text(r[2]), method: text(r[3]), hash: text(r[4]),
    revision: text(r[5]), device: text(r[6]), train: r[7], evaluate: r[8], compile: r[9]});
  const tableOf = node => data.tables[node.closest('[role=tabpanel]').id];
  const rowOf = node => tableOf(node).rows[node.closest('tr').dataset.i];
  const headers = table => [...table.tHead.rows[0].cells];
  const mainRows = table => [...table.tBodies[0].rows].filter(r => 'i' in r.dataset);

  // Theme
  function theme() {
    const button = byId('vb-theme'), system = matchMedia('(prefers-color-scheme: dark)');
    const dark = () => root.dataset.theme ? root.dataset.theme === 'dark' : system.matches;
    const name = () => { button.textContent = dark() ? 'Light theme' : 'Dark theme'; };
    button.addEventListener('click', () => {
      root.dataset.theme = dark() ? 'light' : 'dark';
      memory.set(root.dataset.theme);
      name();
    });
    system.addEventListener('change', name);
    name();
  }

  // Tabs
  function select(tab, focus = false) {
    for (const other of $$('[role=tab]')) {
      const on = other === tab;
      other.setAttribute('aria-selected', on);
      other.tabIndex = on ? 0 : -1;
      byId(other.getAttribute('aria-controls')).classList.toggle('on', on);
    }
    const list = tab.parentNode;    // which a phone scrolls sideways
    list.scrollLeft = tab.offsetLeft - list.offsetLeft - list.clientWidth / 3;
    hide();
    if (focus) {
      tab.focus();
      try { history.replaceState(null, '', tab.hash); } catch { location.hash = tab.hash; }
    }
  }
  function tabs() {
    const all = $$('[role=tab]');
    const fromHash = () => select(all.find(t => t.hash === location.hash) || all[0]);
    all.forEach((tab, i) => {
      tab.addEventListener('click', event => { event.preventDefault(); select(tab, true); });
      tab.addEventListener('keydown', event => {
        const to = {ArrowRight: i + 1, ArrowLeft: i - 1 + all.length, Home: 0, End: all.length - 1, ' ': i}[event.key];
        if (to === undefined) return;
        event.preventDefault();
        select(all[to % all.length], true);
      });
    });
    addEventListener('hashchange', fromHash);
    fromHash();
  }

  // Sorting: the better end first, the other end, the table's own order
  function sort(th) {
    const table = th.closest('table'), k = th.cellIndex, isText = 'text' in th.dataset;
    const first = th.dataset.better === 'higher' ? 'descending' : 'ascending';
    const second = first === 'ascending' ? 'descending' : 'ascending';
    const next = {none: first, [first]: second, [second]: 'none'}[th.getAttribute('aria-sort')];
    for (const other of th.parentNode.cells) other.setAttribute('aria-sort', other === th ? next : 'none');
    const sign = next === 'descending' ? -1 : 1;
    const keyed = mainRows(table).map(row => {
      const cell = row.cells[k];
      return {row, key: isText ? cell.textContent : 'sort' in cell.dataset ? Number(cell.dataset.sort) : null};
    });
    keyed.sort((a, b) => {
      if (next !== 'none' && (a.key === null) !== (b.key === null)) return a.key === null ? 1 : -1;
      const order = next === 'none' || a.key === null ? 0 : isText ? collator.compare(a.key, b.key) : a.key - b.key;
      return sign * order || a.row.home - b.row.home;
    });
    table.order = keyed.map(({row}) => row);
    arrange(table);
  }
  // Puts rows in order, or in order within their families, the family of the first row first
  function arrange(table) {
    const body = table.tBodies[0], withMore = row => row.more ? [row, row.more] : [row], kin = new Map();
    for (const heading of $$('tr.kin', body)) heading.remove();
    for (const row of table.order) {
      const name = table.byFamily ? rowOf(row).family : '';
      kin.set(name, [...kin.get(name) ?? [], row]);
    }
    for (const [name, rows] of kin) {
      if (table.byFamily) body.append(heading(name, rows, table));
      body.append(...rows.flatMap(withMore));
    }
  }
  function heading(name, rows, table) {
    const count = make('small', {textContent: `${rows.length} ${rows.length === 1 ? 'row' : 'rows'}`});
    const cell = make('th', {scope: 'rowgroup', colSpan: headers(table).length}, make('span', {}, name, count));
    const line = make('tr', {className: 'kin', members: rows}, cell);
    hideHeading(line);
    return line;
  }
  const hideHeading = line => { line.hidden = line.members.every(row => row.hidden); };

  // Filter: words, and conditions such as kl>1 on the means
  const CONDITION = /^([\w.-]+)(<=|>=|<|>|=)([-+]?[\d.]+(?:e[-+]?\d+)?)$/i;
  const TEST = {'<': (a, b) => a < b, '>': (a, b) => a > b, '<=': (a, b) => a <= b, '>=': (a, b) => a >= b,
    '=': (a, b) => a === b};
  function filter(panel) {
    const table = panel.querySelector('.grid'), rows = mainRows(table);
    const names = headers(table).map(th => th.dataset.name.toLowerCase());
    const words = panel.querySelector('input[type=search]').value.toLowerCase()
      .replace(/\s*(<=|>=|<|>|=)\s*/g, '$1').split(/\s+/).filter(Boolean), unknown = [];
    const tests = words.map(word => {
      const m = CONDITION.exec(word), k = m ? names.indexOf(m[1]) : -1;
      if (k > 0) return row => TEST[m[2]](Number(row.cells[k].dataset.sort ?? NaN), Number(m[3]));
      if (m) unknown.push(m[1]);
      return row => {
        const {id, label, runs} = rowOf(row);
        return [id, label, ...runs.map(r => text(r[3]))].join(' ').toLowerCase().includes(word);
      };
    });
    const shown = new Set(rows.filter(row => tests.every(t => t(row))).map(row => row.dataset.i));
    for (const row of $$('tr[data-i]', panel)) {
      row.hidden = !shown.has(row.dataset.i);
      if (row.more) row.more.hidden = row.hidden;
    }
    $$('tr.kin', table).forEach(hideHeading);
    panel.querySelector('output').textContent = [...words.length ? [shown.size, 'of'] : [], rows.length,
      rows.length === 1 ? 'row' : 'rows', ...unknown.length && !shown.size ? [`; no column ${unknown[0]}`] : []].join(' ');
    const visible = rows.filter(row => !row.hidden);
    if (!visible.some(row => row.querySelector('[tabindex="0"]'))) rove(visible[0]?.cells[0], false);
  }

  // Columns
  function columns(panel) {
    const table = panel.querySelector('.grid'), style = make('style');
    const off = panel.off = new Set(headers(table).filter(th => 'off' in th.dataset).map(th => th.cellIndex));
    document.head.append(style);
    const box = (label, checked, change) => {
      const input = make('input', {type: 'checkbox', checked});
      input.addEventListener('change', () => change(input.checked));
      return make('label', {}, input, ` ${label}`);
    };
    panel.restyle = (ids = [`#${CSS.escape(panel.id)} .grid`], hidden = [off]) => {
      style.textContent = ids.map((id, i) => [...hidden[i]].map(k =>
        `${id} > * > tr > :nth-child(${k + 1}) { display: none; }`).join('\n')).join('\n');
    };
    const set = (k, on) => { off[on ? 'delete' : 'add'](k); panel.restyle(); };
    const list = headers(table).slice(1).map(th => box(th.dataset.name, !off.has(th.cellIndex),
      on => set(th.cellIndex, on)));
    const parts = [['ci', 'spread over seeds', true], ['noise', 'test set noise', false], ['pub', 'published', true]]
      .map(([name, label, on]) => {
        panel.classList.toggle(`no-${name}`, !on);
        return box(label, on, now => panel.classList.toggle(`no-${name}`, !now));
      });
    panel.querySelector('.menu > div').append(
      make('fieldset', {}, make('legend', {textContent: 'In each cell'}), ...parts),
      make('fieldset', {}, make('legend', {textContent: 'Columns'}), box('all of them', !off.size, on => {
        for (const input of $$('input', panel.querySelector('.menu fieldset:last-child')).slice(1)) input.checked = on;
        list.forEach((_, i) => off[on ? 'delete' : 'add'](i + 1));
        panel.restyle();
      }), ...list));
    panel.restyle();
  }

  // Details of one row
  function open(button) {
    const row = button.closest('tr'), state = button.getAttribute('aria-expanded') !== 'true';
    button.setAttribute('aria-expanded', state);
    if (!state) { row.more.remove(); row.more = null; return; }
    const {card, runs} = rowOf(row), inside = make('div');
    if (card !== null) {
      const copy = byId(`vb-card-${card}`).cloneNode(true);
      copy.removeAttribute('id');
      inside.append(copy);
    }
    if (runs.length) inside.append(runTable(runs.map(run)));
    const cell = make('td', {colSpan: row.cells.length}, inside);
    row.more = make('tr', {className: 'more'}, cell);
    row.after(row.more);
  }
  function runTable(runs) {
    const code = x => make('code', {textContent: x ?? '—'});
    const fields = [['seed', r => String(r.seed)],
      ['status', r => r.reason === null ? 'done' : `failed: ${r.reason}`, 'l'],
      ['train (s)', r => six(r.train)], ['evaluate (s)', r => six(r.evaluate)], ['compile (s)', r => six(r.compile)],
      ['device', r => r.device, 'l'], ['config', r => code(r.hash), 'l'],
      ['revision', r => code(r.revision?.slice(0, 10)), 'l'], ['file', r => code(r.file), 'l']];
    const line = (tag, value) => make('tr', {}, ...fields.map(f => make(tag, {className: f[2] ?? ''}, value(f))));
    return make('table', {className: 'runs'}, make('thead', {}, line('th', f => f[0])),
      make('tbody', {}, ...runs.map(r => line('td', f => f[1](r)))));
  }

  // The one tooltip
  function content(cell) {
    const table = tableOf(cell), k = cell.cellIndex - table.lead, list = make('dl'), column = table.columns[k];
    const add = (name, value, className = '') => {
      if (value) list.append(make('dt', {textContent: name}), make('dd', {className}, value));
    };
    if (cell.closest('thead')) {
      if (!column) return null;
      add('Unit', column[1]);
      add('Better', column[2]);
      add('Estimator', text(column[3]));
      return [make('strong', {textContent: column[0]}), list];
    }
    const row = rowOf(cell), runs = row.runs.map(run);
    const heading = headers(cell.closest('table'))[cell.cellIndex].dataset.name;
    const c = column ? row.cells[k] : null;
    if (heading === 'rank') {
      add('Rank', cell.textContent === '—' ? 'none: a floor, of another estimator, or with a word beside its name'
        : 'rows that cannot be told from the best of those that are left share one');
    }
    if (Array.isArray(c) && c.length > 2) {
      const [mean, low, high, n, stderr, estimator, best, notes, seeds] = c;
      const unit = column[1] ? ` ${column[1]}` : '', of = seeds.length ? `, n = ${n}` : '';
      add(seeds.length ? 'Mean' : 'Value', `${six(mean)}${unit}${of}${best ? '; best, or tied with it' : ''}`);
      if (low !== null && seeds.length && n <= data.few) add('Range', `${six(low)} to ${six(high)} over seeds`);
      else if (low !== null) add('95% interval', `[${six(low)}, ${six(high)}]${seeds.length ? ' over seeds' : ''}`);
      else if (seeds.length) add('Range', 'none of one seed');
      if (stderr !== null) add('Test set noise', `standard error ${six(stderr)} over test examples`);
      add('Estimator', text(estimator));
      for (let i = 0; i < seeds.length; i += 2) add(`Seed ${seeds[i]}`, six(seeds[i + 1]));
      for (const note of notes) add(`[${note}]`, table.notes[note - 1]);
    } else if (c !== null) {
      const [why, notes] = Array.isArray(c) ? c : [c, []];
      add('No number', why === '—' ? 'no estimator of this for this method, or not measured' : why, 'fail');
      for (const note of notes) add(`[${note}]`, table.notes[note - 1]);
    }
    for (const r of runs) if (r.reason !== null) add(`Seed ${r.seed}`, `failed: ${r.reason}`, 'fail');
    for (const [metric, name, value, source, verdict, delta, why] of row.published) {
      if (!column || metric !== column[0]) continue;
      const parts = [`${name} ${value} (${source}, ${verdict})`, delta && `ours − published ${delta}`, why];
      add('Published', parts.filter(Boolean).join('; '));
    }
    const codes = values => unique(values).flatMap((v, i) => [i ? ', ' : '', make('code', {textContent: v})]);
    const span = values => values.length ? make('span', {}, ...values) : null;
    if (runs.length) {
      add('Train', runs.map(r => six(r.train)).join(', ') + ' s');
      add('Device', unique(runs.map(r => r.device)).join(', '));
      add('Config', span(codes(runs.map(r => r.hash))));
      add('Revision', span(codes(runs.map(r => r.revision?.slice(0, 10)))));
      add('Files', span(codes(runs.map(r => r.file))));
    }
    return [make('strong', {textContent: `${row.label} · ${heading}`}), list];
  }
  let anchor = null, timer = null;
  function show(cell) {
    clearTimeout(timer);
    if (anchor === cell) return;
    const nodes = content(cell);
    hide();
    if (!nodes) return;
    pop.replaceChildren(...nodes);
    pop.hidden = false;
    anchor = cell;
    anchor.setAttribute('aria-describedby', 'vb-pop');
    place();
    const covered = cell.getBoundingClientRect().bottom - pop.getBoundingClientRect().top;
    if (matchMedia('(max-width: 40rem)').matches && covered > 0) scrollBy(0, covered + 8);
  }
  function hide() {
    clearTimeout(timer);
    anchor?.removeAttribute('aria-describedby');
    anchor = null;
    if (pop) pop.hidden = true;
  }
  function place() {
    const at = anchor.getBoundingClientRect(), {width, height} = pop.getBoundingClientRect();
    const under = at.bottom + 5 + height <= innerHeight ? at.bottom + 5 : Math.max(4, at.top - 5 - height);
    pop.style.top = `${under}px`;
    pop.style.left = `${Math.max(4, Math.min(at.left, innerWidth - width - 8))}px`;
  }
  const later = (action, wait) => { clearTimeout(timer); timer = setTimeout(action, wait); };
  const target = node => node.closest?.('.grid > tbody > tr[data-i] > td, .grid > thead th');
  function tooltips() {
    pop = byId('vb-pop');
    addEventListener('pointerover', event => {
      if (event.pointerType === 'touch') return;
      const cell = target(event.target);
      if (cell) later(() => show(cell), anchor ? 60 : 160);
      else if (pop.contains(event.target)) clearTimeout(timer);
      else if (anchor && !anchor.contains(document.activeElement)) later(hide, 200);
      else clearTimeout(timer);
    });
    addEventListener('focusin', event => {
      const cell = target(event.target);
      if (cell && event.target.matches(':focus-visible')) show(cell);
      else if (!pop.contains(event.target)) hide();
    });
    addEventListener('click', event => {
      const cell = target(event.target);
      if (cell?.tagName === 'TD') { rove(cell); show(cell); } else if (!cell && !pop.contains(event.target)) hide();
      for (const menu of $$('.menu[open]')) if (!menu.contains(event.target)) menu.open = false;
    });
    addEventListener('keydown', event => {
      if (event.key !== 'Escape') return;
      hide();
      const menu = event.target.closest?.('.menu[open]');
      if (menu) { menu.open = false; menu.querySelector('summary').focus(); }
    });
    addEventListener('scroll', () => { if (anchor) place(); }, {capture: true, passive: true});
    addEventListener('resize', hide);
  }

  // One stop of the tab key for all cells of a table; arrows move between them
  function rove(cell, focus = true) {
    if (!cell) return;
    for (const old of $$('tbody [tabindex="0"]', cell.closest('table'))) if (!old.closest('.more')) old.tabIndex = -1;
    const stop = cell.querySelector('button') || cell;
    stop.tabIndex = 0;
    if (focus) stop.focus();
  }
  function arrows(event) {
    const cell = event.target.closest('th, td'), table = event.currentTarget;
    if (!cell || event.target.closest('.more') || event.ctrlKey || event.altKey || event.metaKey) return;
    const rows = mainRows(table).filter(r => !r.hidden);
    const cells = [...cell.parentNode.cells].filter(c => c.offsetParent !== null);
    const at = rows.indexOf(cell.parentNode), k = cells.indexOf(cell), inHead = at < 0;
    if (inHead && event.key !== 'ArrowDown') return;
    const step = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -k],
      End: [0, cells.length - 1 - k], PageDown: [10, 0], PageUp: [-10, 0]}[event.key];
    if (!step) return;
    event.preventDefault();
    const to = Math.min(rows.length - 1, at + step[0]);
    if (to < 0 && step[0] === -1) headers(table)[cell.cellIndex].querySelector('button')?.focus();
    else if (step[0]) rove(rows[Math.max(0, to)]?.cells[cell.cellIndex]);
    else rove(cells[Math.max(0, Math.min(cells.length - 1, k + step[1]))]);
  }

  // Paper is narrower than a wide table: its columns go below one another
  const PER_SHEET = 9;
  function split() {
    for (const panel of $$('[role=tabpanel]')) {
      const table = panel.querySelector('.grid');
      if (!table) continue;
      const known = headers(table).map((_, k) => k).slice(1), all = known.filter(k => !panel.off.has(k));
      const sheets = [];
      for (let i = 0; i < all.length; i += PER_SHEET) sheets.push(all.slice(i, i + PER_SHEET));
      const ids = sheets.map((_, i) => `vb-print-${panel.id}-${i}`);
      sheets.slice(1).forEach((_, i) => {
        const copy = table.cloneNode(true);
        copy.id = ids[i + 1];
        copy.classList.add('copy');
        for (const more of $$('.more', copy)) more.remove();
        table.parentNode.append(copy);
      });
      table.id = ids[0];
      panel.restyle(ids.map(id => `#${CSS.escape(id)}`), sheets.map(sheet => known.filter(k => !sheet.includes(k))));
    }
    for (const d of $$('details.sub:not([open])')) { d.open = true; d.dataset.closed = ''; }
  }
  function join() {
    for (const copy of $$('.copy')) copy.remove();
    for (const panel of $$('[role=tabpanel]')) panel.restyle?.();
    for (const d of $$('details[data-closed]')) { d.open = false; delete d.dataset.closed; }
  }

  document.addEventListener('DOMContentLoaded', () => {
    data = JSON.parse(byId('vb-data').textContent);
    theme();
    tooltips();
    tabs();
    for (const table of $$('main table')) {
      table.order = mainRows(table);
      table.order.forEach((row, k) => { row.home = k; });
    }
    for (const input of $$('.order input')) {
      input.addEventListener('change', () => {
        const table = input.closest('[role=tabpanel]').querySelector('.grid');
        table.byFamily = input.value === 'family';
        arrange(table);
      });
    }
    for (const button of $$('thead button')) button.addEventListener('click', () => sort(button.closest('th')));
    for (const table of $$('.grid')) {
      const panel = table.closest('[role=tabpanel]');
      columns(panel);
      panel.querySelector('input[type=search]').addEventListener('input', () => filter(panel));
      table.addEventListener('keydown', arrows);
      table.addEventListener('click', event => {
        const button = event.target.closest('tbody th button');
        if (button) { rove(button.closest('th'), false); open(button); }
      });
      for (const cell of $$('tbody td', table)) cell.tabIndex = -1;
      if (table.tBodies[0].rows.length) rove(table.tBodies[0].rows[0].cells[0], false);
    }
    addEventListener('beforeprint', split);
    addEventListener('afterprint', join);
  });
})();
