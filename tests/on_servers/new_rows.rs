//! Rows that are all new go a shorter way: on PostgreSQL they are copied. What may not go it goes the other one.

use crate::ENGINE;
use crate::support::scene::narrow;
use crate::support::{Api, Binary, Engine, Scene};
use kitmirror::model::objects;

/// Notes how rows come into a table.
const WATCH: &str = "create table kit.seen (way text); grant insert on kit.seen to public; \
     create function kit.see() returns trigger language plpgsql as $$ begin \
     insert into kit.seen values (lower(split_part(current_query(), ' ', 1))); return null; end $$; \
     create trigger see after insert on subscribers for each statement execute function kit.see()";

/// An account of some pages, and its mirror with tables and without people.
async fn before_the_load() -> Scene {
    let scene = Scene::new(narrow(4_300).nasty(), Api::V4).await;
    let others: Vec<&str> = objects::names().into_iter().filter(|name| !name.contains("ubscri")).collect();
    let ran = scene.try_objects(&others).await;
    assert!(ran.is_complete(), "{ran:#?}");
    scene
}

/// D-11, P-05. All but the first of the pages of a first load are copied, and where the ends of the list meet.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_load_is_copied() {
    if *ENGINE != Engine::Postgres {
        return;
    }
    let scene = before_the_load().await;
    scene.mirror.execute(WATCH).await;
    scene.sync().await;
    let copied = scene.mirror.number("select count(*) from kit.seen where way = 'copy'").await;
    assert!(copied >= 3, "{copied} of 5 pages");
    scene.equals_kit().await;
}

/// D-10. PostgreSQL does not copy into a table whose rows are guarded against its owner: they are inserted, and nobody is
/// warned of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_copied_is_inserted() {
    if *ENGINE != Engine::Postgres {
        return;
    }
    let scene = before_the_load().await;
    let guarded = "alter table subscribers enable row level security; alter table subscribers force row level security; \
         create policy everybody on subscribers using (true) with check (true)";
    scene.mirror.execute(guarded).await;
    scene.mirror.execute(WATCH).await;
    let ran = Binary::of(&scene.mirror, &scene.serving, scene.api).run(&["-v", "sync"]).await;
    let told = ran.ended_with(0).output();
    assert!(told.contains("trying another way") && !told.contains("WARN"), "{told}");
    assert_eq!(scene.mirror.texts("select distinct way from kit.seen").await, ["with"]);
    scene.equals_kit().await;
}

/// D02. Somebody else stores a row after the look that said it is not there: it is found, and made what it is at Kit.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_somebody_stores_before_it_is_copied_is_taken_over() {
    if *ENGINE != Engine::Postgres {
        return;
    }
    let scene = before_the_load().await;
    let ids = scene.kit.read(|account| account.subscribers().map(|person| person.id).collect::<Vec<i64>>());
    let meddles = format!(
        "create function kit.meddle() returns trigger language plpgsql as $$ begin if pg_trigger_depth() = 1 then \
         insert into kit.subscribers (id, state, created_at, _first_seen_at, _synced_at) \
         select id, 'active', now(), now(), now() from unnest(cast('{{{},{}}}' as bigint[])) as a (id) \
         where left(current_query(), 4) = 'copy' on conflict do nothing; end if; return null; end $$; \
         create trigger meddle before insert on subscribers for each statement execute function kit.meddle()",
        ids[1_500], ids[2_500]
    );
    scene.mirror.execute(&meddles).await;
    scene.sync().await;
    assert_eq!(scene.mirror.number("select count(*) from sync_quarantine").await, 0);
    scene.equals_kit().await;
}
