"""What keeps a send from being repeated, with an index in PostgreSQL: the same tests as for files."""

from __future__ import annotations

import pytest

from tests.operations import test_never_twice as files
from tests.operations.conftest import workplace as workplace
from tests.operations.test_never_twice import rejected as rejected

pytestmark = pytest.mark.usefixtures("here")

test_the_same_input = files.test_the_same_input_to_the_same_campaign_is_refused
test_two_processes_at_once = files.test_of_two_processes_that_send_the_same_at_once_one_is_refused
test_a_stopped_run = files.test_a_stopped_run_is_not_resumed_over_another_that_sent_the_same
test_a_broadcast = files.test_a_broadcast_is_not_repeated
test_a_fixed_row = files.test_a_fixed_row_for_somebody_who_got_the_message_is_a_duplicate
test_rows_that_were_sent_again = files.test_the_parent_shows_that_its_rows_were_sent_again
test_a_second_fix = files.test_a_second_fix_leaves_out_whom_the_first_one_reached
test_people_of_another_run = files.test_people_of_another_run_are_left_out
test_old_runs = files.test_old_runs_lose_what_they_hold_of_people_and_stay_known
