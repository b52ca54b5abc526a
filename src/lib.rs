//! kitmirror keeps a faithful, fresh, queryable copy of a Kit (formerly ConvertKit) account in a SQL
//! database that its owner controls. This page is the map of the code.
//!
//! # The parts
//!
//! Imports point one way, from left to right; [`kit`] and [`store`] do not know each other:
//!
//! ```text
//! main → cli → service → replication → { kit , store } → model
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | [`cli`] | the commands, one file each; [`output`] prints results, [`telemetry`] logs |
//! | [`config`] | settings from file, environment and flags, checked all at once |
//! | [`service`] | a session: credential, database, account and lease, opened and closed in good order; the daemon: when what is due, terms of the lease, what is waited for |
//! | [`replication`] | a run: what is to be read, the loop over pages, what a pass is and what it has earned |
//! | [`kit`] | the only door to the network: limiter, retries, requests, pages |
//! | [`store`] | the only door to the database: rows and position in one transaction, migrations, lease |
//! | [`model`] | the ten objects as declarations; record → row |
//! | [`error`] | one error type; one table says what each kind means |
//! | [`chaos`] | places to die at, bugs to plant and simulated days, for tests; empty in every release |
//! | `fuzzing` | what must hold whatever is sent to us, for the fuzzer and its replay; only with the feature of that name |
//! | [`simulator`] | a local Kit API with a journal of truth; imports nothing from the others |
//!
//! Objects are data: a declaration in [`model::objects`] names the lists of both API versions, the columns
//! and the key. The kinds of behaviour (a list, a list per parent, a view; how a list is asked for what is
//! new) are closed enums. Beside the declarations only the text of the views (`store::dialect::create`) knows objects by
//! their names, and people: who is gone takes memberships along.
//!
//! # The way of one page
//!
//! ```text
//! replication::plan       which partitions, in which mode: tag_subscriptions has one per live tag
//! replication::extractor  the loop:
//!  ├─ pass.request()        GET /v4/tags/42/subscribers?status=all&slim=true&tagged_after=2024-05-01
//!  ├─ kit.page()            limiter → send → retry if worth it; anything but a documented page is an error
//!  ├─ mapping.rows()        record → row, or → quarantine with a reason
//!  ├─ pass.absorb()         More(checkpoint) or Done(watermark)
//!  └─ store.commit_page()   one transaction: rows, quarantine, checkpoint or watermark, lease still ours?
//! ```
//!
//! Pages are read while a commit is made, so that neither Kit waits for the database nor the database for Kit: small
//! pages are joined to about a thousand rows a commit, and to two thousand where the database is slow. Lists are read side
//! by side, as many as it takes to reach Kit's limit although an answer takes a second; people, on v4, from both ends of
//! their list at once, until they meet (`pass::far`); objects that hang on each other are read one after the other
//! (`replication::families`). No transaction is open while a request is under way.
//!
//! # What is guaranteed, and why
//!
//! * **At least once on the wire, exactly once in the table.** Rows are upserted by keys that both API
//!   versions give (inserted, where a look-up in the same transaction finds none of them), and a position is never
//!   written apart from its rows.
//! * **A run that failed or was cut short never looks finished.** The *watermark* says what is complete and
//!   moves only in the transaction that ends a complete pass, never back, and never beyond the source's clock
//!   at its first page. The *checkpoint* says where an unfinished pass stopped. They are never the same value.
//! * **Incremental passes ask from a day before the watermark less the overlap** (24 hours by default), so that
//!   rows that become visible late, filters that know only days, and time zones do not matter.
//! * **A row is marked as gone only when it is proved gone.** A reconcile walks the whole list, keeping the keys it met
//!   beside its checkpoint; what it did not meet is looked up by id, or in a second reading, and left alone when there
//!   is too much of it ([`replication`], `reconcile`).
//! * **No early stop on a list that is not in the order of the watermark**; where a list is, its order is
//!   checked row by row, and a violation sends the pass through the whole list.
//! * **The engine makes no difference.** [`store`] is written once; what engines write differently is text in its
//!   dialects, what drivers do differently is in its connections. A connection that is lost is replaced and the
//!   transaction done again; every commit has a number in the row of the lease, so that one whose answer was lost
//!   is found made and not made twice. Work under way is never carried over to another file.
//! * **The rate limit holds over restarts**, because requests are written down before they are sent, and ahead of time,
//!   so that a busy database holds none of them up.
//!
//! What a crash leaves behind:
//!
//! | crash | the database holds | the next start |
//! |---|---|---|
//! | while fetching or parsing | nothing of this page | asks for the same page |
//! | inside the transaction | nothing of this page | asks for the same page |
//! | inside the commit | the page or nothing of it | goes by what the database says |
//! | after the commit | the page and the checkpoint behind it | asks for the following page |
//! | after the last page's commit | rows, watermark, no checkpoint | begins a new pass |
//!
//! # An eleventh object
//!
//! One declaration in [`model::objects`], named in `ALL`; the text of `kitmirror schema --dialect D --object NAME` as
//! the next file in each folder of `migrations`; one recorded answer per API version in `tests/recorded`. The
//! command line, the schema check, the status view's order and the tests walk `ALL`.

pub mod chaos;
pub mod cli;
pub mod config;
pub mod error;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod kit;
pub mod model;
pub mod output;
pub mod replication;
pub mod service;
pub mod simulator;
pub mod store;
pub mod telemetry;
