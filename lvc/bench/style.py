"""The style sheet of ``report.html``."""

STYLE = """
:root { color-scheme: light dark; --back: #fff; --text: #1b1f24; --soft: #5d6670; --rule: #d9dee3; --card: #f6f7f9;
  --s0: #c8501a; --s1: #0b66b0; --s2: #0a8060; --s3: #a6478a; --s4: #8a6d00; --s5: #4a5a6a; }
@media (prefers-color-scheme: dark) { :root { --back: #14171b; --text: #e6e9ec; --soft: #9aa4ae; --rule: #30363d;
  --card: #1b2026; --s0: #f08a55; --s1: #62aef0; --s2: #3fc39b; --s3: #dd8cc4; --s4: #d8b84a; --s5: #a9b8c6; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 1rem; }
h1, h2, h3 { line-height: 1.2; margin: 1.6em 0 .4em; overflow-wrap: anywhere; }
h1 { margin-top: .2em; }
p, ul { margin: .4em 0; max-width: 60rem; }
.small, .command, figcaption, small { color: var(--soft); font-size: .875rem; }
code { overflow-wrap: anywhere; }
.failures { border-left: 4px solid var(--s0); padding: .2rem .8rem; background: var(--card); }
.legend { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: .1rem 1rem; margin: 0 -1rem;
  padding: .4rem 1rem; max-width: none; list-style: none; background: var(--back); border-bottom: 1px solid var(--rule);
  font-size: .875rem; }
.key { width: 28px; height: 12px; vertical-align: middle; }
.grid { display: grid; gap: .8rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
.crops { grid-template-columns: repeat(auto-fill, minmax(min(100%, 18rem), 1fr)); }
figure { margin: 0; min-width: 0; }
figure img { max-width: 100%; height: auto; display: block; }
.chart { display: block; width: 100%; height: auto; background: var(--card); border-radius: 6px; }
.chart text { fill: var(--soft); font: 11px system-ui, sans-serif; text-anchor: middle; }
.chart text.side { text-anchor: end; }
.chart text.name { fill: var(--text); text-anchor: inherit; }
.grid .chart text[text-anchor=start] { text-anchor: start; }
.grid .chart text[text-anchor=end] { text-anchor: end; }
.rule { stroke: var(--rule); fill: none; stroke-width: 1; }
.line { stroke: currentColor; fill: none; stroke-width: 1.8; }
.dot { fill: currentColor; }
.s0 { color: var(--s0); } .s1 { color: var(--s1); } .s2 { color: var(--s2); }
.s3 { color: var(--s3); } .s4 { color: var(--s4); } .s5 { color: var(--s5); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem .25rem 0; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th:first-child { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 7rem; font-weight: 500; }
.total th, .total td { font-weight: 700; border-top: 2px solid var(--rule); }
.fewer { color: var(--s2); } .more { color: var(--s0); } .none { color: var(--soft); }
details { margin: .4rem 0; } summary { cursor: pointer; padding: .3rem 0; }
"""
