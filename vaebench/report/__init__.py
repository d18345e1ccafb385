"""Reports: tables, figures and pages from result files alone."""
from vaebench.report.cli import EXTENSIONS, convert, main, render

__all__ = ['EXTENSIONS', 'convert', 'main', 'render']
