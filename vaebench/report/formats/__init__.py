"""Tables as texts: for a terminal, as Markdown, LaTeX, CSV and JSON; and as an HTML page."""
from vaebench.report.formats.csv_json import read_json, to_csv, to_json
from vaebench.report.formats.html import to_html
from vaebench.report.formats.latex import to_latex
from vaebench.report.formats.markdown import to_compact, to_markdown
from vaebench.report.formats.terminal import to_terminal

FORMATS = {'terminal': to_terminal, 'markdown': to_markdown, 'latex': to_latex, 'csv': to_csv,
           'json': to_json}
"""Name on the command line -> function of a list of tables.

`to_html` is not among them: it draws figures, which takes as long as all of these together.
"""

__all__ = ['FORMATS', 'read_json', 'to_compact', 'to_csv', 'to_html', 'to_json', 'to_latex',
           'to_markdown', 'to_terminal']
