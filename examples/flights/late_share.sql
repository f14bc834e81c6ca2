-- The share of each carrier's flights that left more than 15 minutes late.
-- rundlet: materialize=replace
SELECT
  carrier,
  count(*) AS flights,
  round(avg(CASE WHEN dep_delay > 15 THEN 1 ELSE 0 END), 3) AS late
FROM flights
WHERE dep_delay IS NOT NULL AND year = $year
GROUP BY carrier
ORDER BY late DESC
