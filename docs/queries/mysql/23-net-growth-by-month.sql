-- How many people came and left each month, and how much did the list grow by that?
--
-- month: month in UTC
-- joined: people who signed up in it and are still at Kit, in whatever state
-- cancelled: people who unsubscribed in it and have not come back
-- net: joined less cancelled; people who bounced or complained have joined and never left
--
-- API v3 does not say when somebody unsubscribed: there, nobody counts as cancelled.

with moves as (
    select date_format(created_at, '%Y-%m') as month, 'joined' as what
    from subscribers
    where _deleted_at is null
    union all
    select date_format(cancelled_at, '%Y-%m'), 'cancelled'
    from cancelled_subscribers
    where cancelled_at is not null and _deleted_at is null
)
select month,
       count(case when what = 'joined' then 1 end) as joined,
       count(case when what = 'cancelled' then 1 end) as cancelled,
       count(case when what = 'joined' then 1 end) - count(case when what = 'cancelled' then 1 end) as net
from moves
group by month
order by month;
