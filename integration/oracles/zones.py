"""What clocks and calendars show, by Python's own time zones: one JSON line for each line of standard input.

in:  {"zone": "Europe/Berlin", "time": microseconds since 1970}
out: {"local": [year, month, day, day of year, day of week from Monday 1, hour, minute], "days": [S, E], "months": [S, E]},
     where [S, E) is the whole day, the whole month, before the one that holds the time, in microseconds since 1970
"""

import datetime
import json
import sys
import zoneinfo

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
MICROSECOND = datetime.timedelta(microseconds=1)


def begins(day, zone):
    # The earlier of two midnights; where it is skipped, the moment at which the clocks jump.
    midnight = datetime.datetime(day.year, day.month, day.day, tzinfo=zone)
    return (midnight.astimezone(datetime.timezone.utc) - EPOCH) // MICROSECOND


for line in sys.stdin:
    asked = json.loads(line)
    zone = zoneinfo.ZoneInfo(asked["zone"])
    local = (EPOCH + asked["time"] * MICROSECOND).astimezone(zone)
    today = local.date()
    month = today.replace(day=1)
    # A zone may have skipped a day.
    yesterday = (EPOCH + (begins(today, zone) - 1) * MICROSECOND).astimezone(zone).date()
    before = (EPOCH + (begins(month, zone) - 1) * MICROSECOND).astimezone(zone).date().replace(day=1)
    print(json.dumps({
        "local": [local.year, local.month, local.day, local.timetuple().tm_yday, local.isoweekday(), local.hour, local.minute],
        "days": [begins(yesterday, zone), begins(today, zone)],
        "months": [begins(before, zone), begins(month, zone)],
    }))
