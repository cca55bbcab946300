"""ffbidx help: explains a command, a group of options, or a topic."""

from __future__ import annotations

import difflib
import json

import click

from ffbidx_cli.help import COLUMN, GROUPS, HELP_ALL, groups_of
from ffbidx_cli.topics import TOPICS


@click.command("help")
@click.argument("topic", required=False)
@click.pass_context
def command(ctx: click.Context, topic: str | None) -> None:
    """Show help on TOPIC: a command, a group of the options of `ffbidx index`, or one of status and schema.

    schema prints the JSON schema of the options that a file for --config may hold.
    """
    from ffbidx_cli.main import COMMANDS, cli

    root = ctx.find_root()
    topics = list(dict.fromkeys([*COMMANDS, *TOPICS, "schema"]))
    if topic is None:
        click.echo(root.get_help())
        click.echo(f"\nffbidx help TOPIC: {', '.join(topics)}")
        return
    # A group of options takes precedence over the command of the same name, whose help --help shows.
    if topic in COMMANDS and topic not in TOPICS:
        found = cli.get_command(root, topic)
        assert found is not None
        with click.Context(found, info_name=topic, parent=root) as context:
            context.meta[HELP_ALL] = True
            click.echo(found.get_help(context))
        return
    index = cli.get_command(root, "index")
    assert index is not None
    if topic == "schema":
        from ffbidx_cli.schema import schema_of

        click.echo(json.dumps(schema_of(index), indent=1))
        return
    if topic not in TOPICS:
        like = difflib.get_close_matches(topic, topics, n=1)
        meant = f"did you mean 'ffbidx help {like[0]}'?" if like else f"topics: {', '.join(topics)}"
        raise click.UsageError(f"there is no help on {topic!r}; {meant}", ctx)
    formatter = ctx.make_formatter()
    formatter.write_text(TOPICS[topic])
    if topic in GROUPS:
        with click.Context(index, info_name="index", parent=root) as context:
            for title, rows in groups_of(index, context):
                if title == GROUPS[topic]:
                    with formatter.section(f"{title}: options of ffbidx index"):
                        formatter.write_dl(rows, col_max=COLUMN)
    if topic in COMMANDS:
        formatter.write_paragraph()
        formatter.write_text(f"There is also a command of this name: ffbidx {topic} --help")
    click.echo(formatter.getvalue(), nl=False)
