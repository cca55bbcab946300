"""ffbidx doctor: reports what is installed, what works, and how to fix what does not."""

from __future__ import annotations

import click

from ffbidx_cli import options as shared


@click.command("doctor")
@shared.where_options
@shared.json_option
@shared.debug_option
def command(backend: str, device: str | None, threads: int | None, as_json: bool) -> int:
    """Examine the installation.

    Each available backend indexes a few simulated frames, and its answers are compared with a slow and simple
    implementation of the method. The exit status is 4 if the backend that is asked for, or the one that --backend auto
    would take, does not work.
    """
    import json

    from ffbidx_cli import console, reports
    from ffbidx_core.doctor import State, examine
    from ffbidx_core.errors import BackendUnavailable

    findings = list(reports.watched(examine(backend, device, threads), lambda finding: f"examined: {finding.what}"))
    broken = any(finding.state is State.BROKEN for finding in findings)
    if as_json:
        report = {"works": not broken, "findings": [finding.as_dict() for finding in findings]}
        console.write_data(json.dumps(report).encode() + b"\n")
    else:
        reports.show_findings(findings)
    return BackendUnavailable.exit_status if broken else 0
