"""Kit's API v4 into PostgreSQL or SQLite with dlt's REST API source: what a user would write instead of kitmirror.

    KIT_API_KEY=... python dlt_pipeline.py --api-url http://127.0.0.1:8787/v4 --destination sqlite:///kit.db

The last line of the output is JSON: requests sent, and seconds spent in each of dlt's steps. How dlt is tuned is
in .dlt/config.toml, which it reads from the folder it is started in.
"""

import argparse
import contextlib
import itertools
import json
import os
from datetime import datetime, timedelta, timezone

import dlt
from dlt.sources.helpers import requests
from dlt.sources.rest_api import rest_api_resources
from requests.adapters import HTTPAdapter

# Lists of members repeat the person, who is in `subscribers`.
PERSON = {"id", "first_name", "email_address", "state", "created_at", "fields"}

# How far behind the start of the previous run an incremental run begins. Kit's lists lag by minutes, and nobody says
# in which zone a date begins.
OVERLAP = timedelta(days=1)


class CountingAdapter(HTTPAdapter):
    """Counts what goes over the wire, retries included."""

    def __init__(self):
        super().__init__()
        self._sent = itertools.count()

    def send(self, *args, **kwargs):
        next(self._sent)
        return super().send(*args, **kwargs)

    def total(self):
        """To be asked once."""
        return next(self._sent)


def listing(name, *, path=None, per_page=1000, **params):
    """A list of the account, keyed by id."""
    return {
        "name": name,
        "primary_key": "id",
        "endpoint": {"path": path or name, "data_selector": path or name, "params": {"per_page": per_page, **params}},
    }


def memberships(parents, parent, *, since, **params):
    """The members of each parent, keyed by the pair of ids."""

    def membership(row):
        kept = {key: value for key, value in row.items() if key not in PERSON}
        kept[f"{parent}_id"] = kept.pop(f"_{parents}_id")
        kept["subscriber_id"] = row["id"]
        return kept

    return {
        "name": f"{parent}_subscriptions",
        "primary_key": [f"{parent}_id", "subscriber_id"],
        "include_from_parent": ["id"],
        "processing_steps": [{"map": membership}],
        "endpoint": {
            "path": f"{parents}/{{resources.{parents}.id}}/subscribers",
            "data_selector": "subscribers",
            "params": {"per_page": 1000, "status": "all", **since, **params},
        },
    }


@dlt.source(name="kit", max_table_nesting=0)
def kit(api_url, api_key, session, since):
    # Kit does not return `updated_at`, so there is no column that dlt's own incremental loading could follow for
    # people. One day, by our own clock, serves all lists.
    def after(name):
        return {name: since} if since else {}

    return rest_api_resources(
        {
            "client": {
                "base_url": api_url,
                "auth": {"type": "api_key", "name": "X-Kit-Api-Key", "api_key": api_key, "location": "header"},
                "paginator": {
                    "type": "cursor",
                    "cursor_path": "pagination.end_cursor",
                    "cursor_param": "after",
                    # The last page has a cursor, too.
                    "has_more_path": "pagination.has_next_page",
                },
                "session": session,
            },
            "resource_defaults": {
                # No list has a row twice: dlt need not look for doubles.
                "write_disposition": {"disposition": "merge", "strategy": "delete-insert", "deduplicated": True},
            },
            "resources": [
                listing("forms", status="all", include="subscriber_count"),
                listing("sequences"),
                listing("tags", include="subscriber_count"),
                # Whole e-mails come in this list.
                listing("broadcasts", per_page=100),
                {
                    **listing("subscribers", status="all", sort_order="asc", **after("updated_after")),
                    # Custom fields are for the creator to name: one column, whatever they are.
                    "columns": {"fields": {"data_type": "json"}},
                },
                {
                    # When people unsubscribed; told by this list only.
                    **listing(
                        "cancelled_subscribers",
                        path="subscribers",
                        status="cancelled",
                        include="canceled_at",
                        sort_order="asc",
                        slim="true",
                        **after("updated_after"),
                    ),
                    "processing_steps": [{"map": lambda row: {"id": row["id"], "canceled_at": row["canceled_at"]}}],
                },
                memberships("forms", "form", since=after("added_after"), slim="true"),
                memberships("sequences", "sequence", since=after("added_after")),
                memberships("tags", "tag", since=after("tagged_after"), slim="true"),
            ],
        }
    )


def destination(url):
    """dlt's destination for a URL, the name of the dataset, and the file format that is fastest there."""
    if url.startswith("sqlite:"):
        into = dlt.destinations.sqlalchemy(
            credentials=url,
            # Without a key each merge compares every row with every other.
            create_primary_keys=True,
            # Left to itself dlt loads tables side by side, and all but one find the database locked.
            loader_parallelism_strategy="sequential",
        )
        return into, "main", "typed-jsonl"
    # COPY.
    return dlt.destinations.postgres(credentials=url), "kit", "csv"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--api-url", default="https://api.kit.com/v4")
    parser.add_argument("--destination", required=True, metavar="URL")
    parser.add_argument("--pipelines-dir", help="where dlt keeps its state and its files")
    parser.add_argument("--incremental", action="store_true", help="ask for what is new since the previous run")
    arguments = parser.parse_args()

    wire = CountingAdapter()
    session = requests.Client(raise_for_status=False).session
    session.mount("http://", wire)
    session.mount("https://", wire)
    into, dataset, file_format = destination(arguments.destination)
    pipeline = dlt.pipeline(
        "kit", destination=into, dataset_name=dataset, pipelines_dir=arguments.pipelines_dir
    )
    started = datetime.now(timezone.utc)
    since = None
    if arguments.incremental:
        # Without a previous run everything is read.
        with contextlib.suppress(KeyError):
            previous = datetime.fromisoformat(pipeline.get_local_state_val("complete_since"))
            since = (previous - OVERLAP).date().isoformat()
    pipeline.run(kit(arguments.api_url, os.environ["KIT_API_KEY"], session, since), loader_file_format=file_format)
    # Only behind a complete run: what a failed one left out must be asked for again.
    pipeline.set_local_state_val("complete_since", started.isoformat())
    steps = {step.step: (step.finished_at - step.started_at).total_seconds() for step in pipeline.last_trace.steps}
    print(json.dumps({"requests": wire.total(), "steps": steps}))


if __name__ == "__main__":
    main()
