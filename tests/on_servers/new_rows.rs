//! Rows that are all new go a shorter way: PostgreSQL copies them. What may not go it goes the other one.

use crate::ENGINE;
use crate::support::scene::narrow;
use crate::support::{Api, Binary, Engine, Scene};
use kitmirror::model::objects;
use kitmirror::simulator::Account;

/// Notes how rows come into a table.
const WATCH: &str = "create table kit.seen (way text); grant insert on kit.seen to public; \
     create function kit.see() returns trigger language plpgsql as $$ begin \
     insert into kit.seen values (lower(split_part(current_query(), ' ', 1))); return null; end $$; \
     create trigger see after insert on subscribers for each statement execute function kit.see();";

/// Guards the rows against the table's owner.
const GUARD: &str = "alter table subscribers enable row level security; alter table subscribers force row level security; \
     create policy everybody on subscribers using (true) with check (true);";

/// An account of some pages, and its mirror without people, to which this was done. Nothing where nothing is copied.
async fn before_the_load(done: &str) -> Option<Scene> {
    if *ENGINE != Engine::Postgres {
        return None;
    }
    let scene = Scene::new(narrow(4_300).nasty(), Api::V4).await;
    let others: Vec<&str> = objects::names().into_iter().filter(|name| !name.contains("ubscri")).collect();
    let ran = scene.try_objects(&others).await;
    assert!(ran.is_complete(), "{ran:#?}");
    scene.mirror.execute(done).await;
    Some(scene)
}

/// D-11, P-05. All but the first of the pages of a first load are copied, and where the ends of the list meet.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_load_is_copied() {
    let Some(scene) = before_the_load(WATCH).await else { return };
    scene.sync().await;
    let copied = scene.mirror.number("select count(*) from kit.seen where way = 'copy'").await;
    assert!(copied >= 3, "{copied} of 5 pages");
    scene.equals_kit().await;
}

/// D-10. PostgreSQL does not copy into a table whose rows are guarded: they are inserted, and nobody is warned of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_copied_is_inserted() {
    let Some(scene) = before_the_load(&[GUARD, WATCH].concat()).await else { return };
    let ran = Binary::of(&scene.mirror, &scene.serving, scene.api).run(&["-v", "sync"]).await;
    let told = ran.ended_with(0).output();
    assert!(told.contains("trying another way") && !told.contains("WARN"), "{told}");
    assert_eq!(scene.mirror.texts("select distinct way from kit.seen").await, ["with"]);
    scene.equals_kit().await;
}

/// D02. Somebody else stores two rows after the look that said they are not there: they are found, and made what they are
/// at Kit.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_somebody_stores_before_it_is_copied_is_taken_over() {
    let meddle = "create function kit.meddle() returns trigger language plpgsql as $$ begin \
         if pg_trigger_depth() = 1 and current_query() like 'copy%' then \
         insert into kit.subscribers (id, state, created_at, _first_seen_at, _synced_at) \
         select id, 'active', now(), now(), now() from kit.meddled on conflict do nothing; \
         end if; return null; end $$; create table kit.meddled (id bigint); grant select on kit.meddled to public; \
         create trigger meddle before insert on subscribers for each statement execute function kit.meddle();";
    let Some(scene) = before_the_load(meddle).await else { return };
    let people = |account: &Account| account.subscribers().map(|person| person.id).collect::<Vec<i64>>();
    let ids = scene.kit.read(people);
    scene.mirror.execute(&format!("insert into kit.meddled values ({}), ({})", ids[1_500], ids[2_500])).await;
    scene.sync().await;
    assert_eq!(scene.mirror.number("select count(*) from sync_quarantine").await, 0);
    scene.equals_kit().await;
}
