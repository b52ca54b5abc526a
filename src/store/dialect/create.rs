//! The statements that make tables and views: the text of the migrations.

use super::Dialect;
use crate::model::{Object, Type, objects};
use crate::store::status::STALE_AFTER;
use crate::store::tables::{self, Content, Field, Table};

/// Characters of a long text that MySQL indexes; 191 of four bytes each fit into any row format.
const INDEXED_PREFIX: usize = 191;

impl Dialect {
    /// The statements that create an object's table or view, with its indexes.
    pub fn create(self, object: &Object) -> String {
        match object.name {
            "cancelled_subscribers" => self.create_view(object, &self.cancelled_subscribers()),
            "subscriber_tags" => self.create_view(object, SUBSCRIBER_TAGS),
            _ => self.create_table(&tables::of(object)),
        }
    }

    /// The statements that create the tables in which progress is kept.
    pub fn create_bookkeeping(self) -> String {
        let tables: Vec<String> =
            tables::bookkeeping().iter().map(|table| self.create_table(table)).collect();
        tables.join("\n")
    }

    /// The statements that create the table of those who were forgotten, and indexes on what is marked as gone: a
    /// purge looks there after every run, and must not read whole tables to find nothing.
    pub fn create_forgotten(self) -> String {
        let mut text = self.create_table(&tables::forgotten());
        text.push_str("\n-- What is marked as gone, to be found when its time has come.\n");
        for object in objects::tables() {
            text.push_str(&self.index_of_tombstones(object.table));
        }
        text
    }

    /// The index on what is marked as gone: its name, and the statement that makes it.
    pub(in crate::store) fn tombstone_index(self, table: &str) -> (String, String) {
        let (name, column) = (format!("{table}__deleted_at"), self.quoted("_deleted_at"));
        let create = format!("create index {} on {} ({column})", self.quoted(&name), self.quoted(table));
        match self {
            // Rows that are not marked cost nothing by it.
            Dialect::Sqlite | Dialect::Postgres => (name, format!("{create} where {column} is not null")),
            Dialect::Mysql => (name, create),
        }
    }

    fn index_of_tombstones(self, table: &str) -> String {
        let (name, create) = self.tombstone_index(table);
        match self {
            Dialect::Sqlite | Dialect::Postgres => format!("{create};\n"),
            // There is no "if not exists" here, and an interrupted migration is begun again.
            Dialect::Mysql => format!(
                "set @make = (select if(count(*) = 0, '{create}', 'do 0') from information_schema.statistics\n    \
                 where table_schema = database() and table_name = '{table}' and index_name = '{name}');\n\
                 prepare make from @make;\n\
                 execute make;\n\
                 deallocate prepare make;\n"
            ),
        }
    }

    /// The statement that creates `sync_status`: what is in the mirror, and how fresh it is.
    pub fn create_status(self) -> String {
        let head = "-- What an analyst asks first: what is in the mirror, and how fresh is it? One row per object.\n\
                    -- state: ok, syncing (a pass is under way or was never finished), stale (not complete for 25 hours),\n\
                    -- failed (see last_error), unavailable (Kit refuses it to this account).\n";
        let text = format!(
            "{head}{create} view \"sync_status\" as\n\
             with\n\
             {s4}-- Each object, the object whose passes bring its rows, and its newest row.\n\
             {s4}\"relations\" (\"object\", \"brought_by\", \"newest_row\") as (\n{relations}\n{s4}),\n\
             {s4}\"partitions\" (\"object\", \"rows\", \"unfinished\", \"error\", \"held\") as (\n\
             {s8}select \"object\", {sum}, count(\"checkpoint\"), max(\"last_error\"), {held}\n\
             {s8}from \"sync_state\" group by \"object\"\n{s4})\n\
             select\n\
             {s4}r.\"object\",\n\
             {s4}case\n\
             {s8}when s.\"unavailable\" = true then 'unavailable'\n\
             {s8}when coalesce(s.\"last_error\", p.\"error\") is not null then 'failed'\n\
             {s8}when s.\"completed_at\" is null or p.\"unfinished\" > 0 or s.\"full_requested_at\" is not null then 'syncing'\n\
             {s8}when {lag} > {STALE_AFTER} then 'stale'\n\
             {s8}else 'ok'\n\
             {s4}end as \"state\",\n\
             {s4}case r.\"object\"\n\
             {s8}-- People are counted by the object that found them first, and shown by both.\n\
             {s8}when 'subscribers' then (select {people} from \"sync_state\" where \"object\" in ('subscribers', 'cancelled_subscribers'))\n\
             {s8}when 'cancelled_subscribers' then (select count(*) from \"subscribers\" where \"state\" = 'cancelled' and \"_deleted_at\" is null)\n\
             {s8}else coalesce(p.\"rows\", 0)\n\
             {s4}end as \"rows\",\n\
             {s4}r.\"newest_row\",\n\
             {s4}s.\"completed_at\" as \"last_complete_at\",\n\
             {s4}{lag} as \"lag_seconds\",\n\
             {s4}s.\"reconciled_at\" as \"last_reconcile_at\",\n\
             {s4}{reconcile_lag} as \"reconcile_lag_seconds\",\n\
             {s4}p.\"held\" as \"held_deletions\",\n\
             {s4}coalesce(s.\"last_error\", p.\"error\") as \"last_error\",\n\
             {s4}(select max(\"last_error_advice\") from \"sync_state\" e where e.\"object\" = r.\"brought_by\" and e.\"last_error\" is not null) as \"last_error_advice\"\n\
             from \"relations\" r\n\
             left join \"sync_state\" s on s.\"object\" = r.\"brought_by\" and s.\"partition\" = ''\n\
             left join \"partitions\" p on p.\"object\" = r.\"brought_by\";\n",
            create = self.create_or_replace(),
            s4 = "    ",
            s8 = "        ",
            relations = relations(),
            sum = self.integer("sum(\"rows\")"),
            people = self.integer("coalesce(sum(\"rows\"), 0)"),
            held = self.integer("sum(\"held_deletions\")"),
            lag = self.seconds_since("s.\"completed_at\""),
            reconcile_lag = self.seconds_since("s.\"reconciled_at\""),
        );
        self.requoted(&text)
    }

    fn create_table(self, table: &Table) -> String {
        let mut text =
            format!("-- {}\n{} {} (\n", table.about, self.create_if_missing(), self.quoted(table.name));
        let comments_inside = self == Dialect::Mysql;
        let mut lines: Vec<(String, &str)> = Vec::new();
        let single = table.key.len() == 1;
        for field in &table.fields {
            let key = if single && table.key.contains(&field.name) { " primary key" } else { "" };
            let comment =
                if comments_inside { format!(" comment {}", literal(field.about)) } else { String::new() };
            let name = self.quoted(field.name);
            let check =
                if field.kind == Content::One { format!(" check ({name} = 1)") } else { String::new() };
            let line = format!("{name} {}{key}{comment}{check}", self.declared(field));
            lines.push((line, if comments_inside { "" } else { field.about }));
        }
        if !single {
            lines.push((format!("primary key ({})", self.list(table.key)), ""));
        }
        if self == Dialect::Mysql {
            for columns in table.indexes {
                let name = self.quoted(&tables::index_name(table, columns));
                let columns: Vec<String> = columns.iter().map(|name| self.indexed(table, name)).collect();
                lines.push((format!("index {name} ({})", columns.join(", ")), ""));
            }
        }
        let count = lines.len();
        for (at, (line, about)) in lines.into_iter().enumerate() {
            let comma = if at + 1 < count { "," } else { "" };
            let comment = if about.is_empty() { String::new() } else { format!(" -- {about}") };
            text.push_str(&format!("    {line}{comma}{comment}\n"));
        }
        match self {
            Dialect::Sqlite if single => text.push_str(") strict;\n"),
            // A pair of ids is the whole identity of a membership, so it is also where the row lives.
            Dialect::Sqlite => text.push_str(") strict, without rowid;\n"),
            Dialect::Postgres => text.push_str(");\n"),
            // One collation for all, by bytes: what differs in a letter's case is different, as on the other
            // engines. Whatever the server's and the database's defaults are.
            Dialect::Mysql => text.push_str(&format!(
                ") engine = InnoDB default character set utf8mb4 collate utf8mb4_bin row_format = dynamic comment {};\n",
                literal(table.about)
            )),
        }
        if self != Dialect::Mysql {
            for columns in table.indexes {
                text.push_str(&self.create_index(table, columns));
            }
        }
        if self == Dialect::Postgres {
            text.push_str(&self.comments("table", table));
        }
        text
    }

    /// The statement that creates an index of a table; MySQL's stand within that of the table.
    pub(in crate::store) fn create_index(self, table: &Table, columns: &[&str]) -> String {
        // An address may be longer than what a tree can hold; it is looked up by equality.
        let hashed = self == Dialect::Postgres && columns == ["email_address"];
        format!(
            "create index {} on {}{} ({});\n",
            self.quoted(&tables::index_name(table, columns)),
            self.quoted(table.name),
            if hashed { " using hash" } else { "" },
            self.list(columns)
        )
    }

    fn list(self, names: &[&str]) -> String {
        names.iter().map(|name| self.quoted(name)).collect::<Vec<_>>().join(", ")
    }

    fn create_view(self, object: &Object, select: &str) -> String {
        let view = tables::of(object);
        let mut text = format!(
            "-- {}\n{} view {} as\n{select}",
            object.about,
            self.create_or_replace(),
            self.quoted(object.name)
        );
        if self == Dialect::Postgres {
            text.push_str(&self.comments("view", &view));
        }
        self.requoted(&text)
    }

    fn cancelled_subscribers(self) -> String {
        let table = crate::model::objects::named("subscribers").map(tables::of);
        let names: Vec<String> =
            table.iter().flat_map(|table| &table.fields).map(|field| format!("\"{}\"", field.name)).collect();
        format!("select {}\nfrom \"subscribers\"\nwhere \"state\" = 'cancelled';\n", names.join(", "))
    }

    fn comments(self, what: &str, table: &Table) -> String {
        let mut text =
            format!("comment on {what} {} is {};\n", self.quoted(table.name), literal(table.about));
        for field in &table.fields {
            text.push_str(&format!(
                "comment on column {}.{} is {};\n",
                self.quoted(table.name),
                self.quoted(field.name),
                literal(field.about)
            ));
        }
        text
    }

    /// On MySQL every statement of ours that defines something commits by itself, so each can be repeated after
    /// an interruption.
    fn create_if_missing(self) -> &'static str {
        match self {
            Dialect::Sqlite | Dialect::Postgres => "create table",
            Dialect::Mysql => "create table if not exists",
        }
    }

    fn create_or_replace(self) -> &'static str {
        match self {
            Dialect::Sqlite | Dialect::Postgres => "create",
            Dialect::Mysql => "create or replace",
        }
    }

    /// Names in double quotes as this engine writes them whatever its session is set to.
    fn requoted(self, sql: &str) -> String {
        match self {
            Dialect::Sqlite | Dialect::Postgres => sql.to_owned(),
            Dialect::Mysql => sql.replace('"', "`"),
        }
    }

    fn indexed(self, table: &Table, column: &str) -> String {
        let is_long =
            table.fields.iter().any(|field| field.name == column && field.kind == Content::Plain(Type::Text));
        let prefix = if is_long { format!("({INDEXED_PREFIX})") } else { String::new() };
        format!("{}{prefix}", self.quoted(column))
    }

    fn declared(self, field: &Field) -> String {
        let not_null = if field.required { " not null" } else { "" };
        let type_name = self.type_of(field.kind);
        let rest = match (self, field.kind) {
            (_, Content::Plain(_) | Content::Key(_) | Content::One) => "",
            (_, Content::Count) => " default 0",
            (_, Content::Flag) => " default false",
            (Dialect::Sqlite, Content::Serial) => "",
            (Dialect::Postgres, Content::Serial) => " generated by default as identity",
            (Dialect::Mysql, Content::Serial) => " auto_increment",
        };
        format!("{type_name}{not_null}{rest}")
    }
}

/// One select for each object: its name, the object whose passes bring its rows, and its newest row.
fn relations() -> String {
    let newest = |table: &str| {
        format!(
            "(select \"created_at\" from \"{table}\" where \"_deleted_at\" is null order by \"created_at\" desc limit 1)"
        )
    };
    let selects: Vec<String> = crate::model::objects::ALL
        .iter()
        .map(|object| {
            let brought_by = match object.name {
                "subscriber_tags" => "tag_subscriptions",
                name => name,
            };
            let newest = match object.name {
                "cancelled_subscribers" => {
                    "(select max(\"cancelled_at\") from \"subscribers\" where \"_deleted_at\" is null and \"state\" = 'cancelled')"
                        .to_owned()
                }
                _ => newest(brought_by),
            };
            format!("        select '{}', '{brought_by}', {newest}", object.name)
        })
        .collect();
    selects.join("\n        union all\n")
}

const SUBSCRIBER_TAGS: &str = "\
select m.\"subscriber_id\", m.\"tag_id\", t.\"name\" as \"tag_name\", m.\"created_at\", t.\"created_at\" as \"tag_created_at\",
       m.\"_first_seen_at\", m.\"_synced_at\", m.\"_deleted_at\", m.\"_extra\"
from \"tag_subscriptions\" m
join \"tags\" t on t.\"id\" = m.\"tag_id\";
";

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
