"""Reports: tables, figures and pages from result files alone."""
from vaebench.report.cli import main, render

__all__ = ['main', 'render']
