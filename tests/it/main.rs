//! The integration scenarios: one list for Linux and Windows, against a server in a process of its own.
//!
//! The platform is the parameter. A scenario that cannot run somewhere says where and why in this list; whoever
//! runs the suite counts it as skipped. `long_` scenarios take minutes and run only when asked for.

mod access;
mod admission;
mod beside;
mod care;
mod collections;
mod command_line;
mod costs;
mod counts;
mod crash;
mod cross;
mod disk;
mod durable;
mod events;
mod folders;
mod held;
mod histories;
mod hostile;
mod isolation;
mod keys;
mod library;
mod limits;
mod long;
mod many;
mod memory;
mod messages;
mod monitor;
mod options;
mod process;
mod prompt;
mod serve;
mod service;
mod share;
mod shortage;
mod shutdown;
mod start;
mod streaks;
mod ten_million;
mod told;
mod tracking;
mod transactions;
mod types;
mod versions;
mod waiting;

use modb_tests::{Platform, Where, skip};

/// Makes a test of each scenario: `module::name, unless Place: "reason";`
macro_rules! scenarios {
    ($($(#[$long:meta])? $module:ident::$name:ident $(, unless $place:ident: $reason:literal)*;)*) => {
        $(
            #[test]
            $(#[$long])?
            fn $name() {
                let platform = Platform::here();
                let unless: &[(Where, &str)] = &[$((Where::$place, $reason)),*];
                for &(place, reason) in unless {
                    if platform.is(place) {
                        skip::note(stringify!($name), reason);
                        return;
                    }
                }
                $module::$name(&platform);
            }
        )*
    };
}

scenarios! {
    start::the_start_up_line_says_what_serves_where, unless Redis: "the line is Modb's own";
    start::an_unknown_flag_is_refused_with_its_name;
    start::a_value_that_makes_no_sense_is_refused_with_its_flag, unless Redis: "Redis words it differently";
    start::a_taken_port_is_refused_and_damages_nothing;
    start::a_locked_folder_is_refused_and_the_owner_goes_on, unless Redis: "Redis does not lock its folder";
    start::a_folder_that_cannot_be_read_is_refused, unless Redis: "Redis makes no folder",
        unless WindowsHost: "rights are lists there, not bits";
    start::a_file_in_place_of_the_folder_is_refused;
    start::a_full_disk_is_one_clear_line_and_nothing_is_damaged, unless Redis: "Redis starts all the same";
    start::a_write_that_a_full_disk_keeps_waiting_is_cut_off_and_serving_goes_on,
        unless Redis: "Redis answers an error or ends";
    start::a_file_gives_the_same_options_as_flags, unless Redis: "the file is Modb's own";

    service::elsewhere_the_service_manager_has_a_file_and_that_is_said, unless Redis: "the tasks are Modb's own",
        unless Windows: "there it makes itself a service", unless WindowsHost: "there it makes itself a service";
    #[ignore = "with --long: it makes a service of the whole system"]
    service::long_a_service_starts_ends_gracefully_and_is_taken_away, unless Redis: "the tasks are Modb's own";

    folders::a_new_folder_is_for_its_owner_alone_whatever_the_umask, unless Redis: "Redis leaves that to its user",
        unless Windows: "rights are lists there, not bits";
    folders::an_older_folder_that_others_can_read_is_warned_about_and_not_changed,
        unless Redis: "Redis leaves that to its user", unless Windows: "rights are lists there, not bits";
    folders::a_fresh_file_system_is_an_empty_folder, unless Redis: "Redis fills any folder";
    folders::a_folder_of_somebody_else_is_left_as_it_was, unless Redis: "Redis fills any folder";
    folders::the_folder_of_another_user_is_named_with_its_owner_and_what_to_do, unless Redis: "Redis words it differently",
        unless Windows: "no other user is at hand there; what is asked of the system has tests of its own",
        unless WindowsHost: "as above";
    folders::what_stands_in_place_of_the_folder_is_named, unless Redis: "Redis words it differently";

    options::what_is_wrong_on_the_command_line_is_named_with_status_2, unless Redis: "Modb's own";
    options::what_is_wrong_in_the_file_is_shown_where_it_stands, unless Redis: "the file is Modb's own";
    options::arguments_that_are_no_text_are_paths_or_refused, unless Redis: "Modb's own",
        unless Crossed: "Wine has turned them into UTF-16, and lost the byte, before the program sees them";
    options::options_that_promise_what_is_not_there_are_refused_with_the_reason, unless Redis: "Redis has them";
    options::options_without_effect_are_warned_about_once, unless Redis: "Redis has them";
    options::the_same_option_twice_and_contradictions_are_errors;
    options::the_folder_is_shown_by_its_whole_name, unless Windows: "the scenario starts it with a shell",
        unless Redis: "Redis makes no folder";
    options::an_address_that_is_taken_is_an_error_also_with_a_dash, unless Redis: "Redis words it differently";
    options::a_name_is_listened_on_by_what_it_stands_for, unless Redis: "Redis takes one address of a name";
    options::a_silent_client_is_asked_whether_it_is_there, unless Windows: "Windows does not show the timers of sockets";

    process::a_terminal_that_goes_away_does_not_end_it, unless Windows: "there is nothing to hang up with",
        unless Redis: "Redis ends";
    process::a_start_waits_for_the_folder_and_says_for_whom, unless Redis: "Redis does not lock its folder";
    process::being_asked_to_end_during_the_start_is_obeyed, unless Redis: "Redis does not lock its folder";
    process::the_first_process_of_a_container_obeys_during_its_start_and_after,
        unless Windows: "containers of Linux", unless Redis: "Redis does not lock its folder";
    process::an_output_that_is_full_or_closed_stops_nothing, unless Windows: "the scenario starts it with a shell",
        unless Redis: "its log is its output";
    process::a_reader_that_has_heard_enough_changes_no_status, unless Redis: "the tasks are Modb's own";
    process::the_log_says_start_stop_and_why, unless Redis: "Redis words it differently";
    process::a_service_manager_is_told_when_it_serves_and_when_it_ends, unless Redis: "it must be told to",
        unless Windows: "services are told of by other means", unless WindowsHost: "services are told of by other means";
    process::a_log_that_nobody_reads_holds_nobody_up, unless Redis: "its log is its output";
    process::the_level_of_the_log_changes_while_it_serves, unless Redis: "Redis logs other things";
    process::the_log_can_be_one_object_per_line, unless Redis: "the option is Modb's own";
    process::the_status_says_how_it_ended, unless Redis: "Redis has one status for all";

    serve::a_value_that_was_set_is_got;
    serve::hello_3_changes_the_types_of_replies;
    serve::inline_commands_are_served;
    serve::protocol_errors_are_answered_as_redis_does_and_close;
    serve::errors_of_commands_keep_the_connection;
    serve::a_pipeline_of_100_000_commands_in_one_write_is_answered_in_order;
    streaks::pipelined_changes_of_one_key_are_answered_as_if_one_by_one;
    streaks::who_waits_for_an_element_gets_the_first_of_a_pipeline;
    streaks::who_watches_a_key_is_told_of_a_pipeline_that_changes_it;
    streaks::who_listens_hears_of_each_request_of_a_pipeline;
    streaks::two_pipelines_on_one_key_lose_nothing;
    serve::a_command_split_anywhere_is_one_command;
    serve::databases_are_apart;
    serve::quit_answers_and_closes;
    serve::half_close_after_the_request_still_gets_the_reply;
    serve::half_close_after_more_than_a_turn_takes_still_gets_every_reply, unless Redis: "Redis drops what is unsent";

    waiting::who_came_first_is_served_first_over_all_workers;
    waiting::chains_and_circles_of_moves_end;
    waiting::what_was_named_first_is_taken_first, unless Redis: "7.0 takes what was written first";
    waiting::a_key_that_got_another_type_is_passed_over;
    waiting::whoever_brings_something_serves;
    waiting::who_waits_no_longer_takes_nothing;
    waiting::a_wait_ends_with_its_time_and_what_was_sent_behind_it_runs;
    waiting::who_waits_is_seen_and_can_be_let_go;
    waiting::nothing_is_lost_between_the_end_of_a_wait_and_what_comes;
    waiting::each_element_comes_once_and_in_order;
    #[ignore = "a million pushes and pops"]
    waiting::long_each_of_a_million_elements_comes_once_and_in_order;
    waiting::a_thousand_who_wait_cost_no_processor_time,
        unless Wine: "Wine's own waiting for a thousand sockets would be measured";
    #[ignore = "long"] waiting::long_ten_thousand_who_wait_cost_no_processor_time;
    waiting::what_was_given_never_comes_back_after_a_kill;

    limits::an_endless_inline_line_is_refused_in_bounded_memory;
    limits::a_bulk_length_of_2_to_the_63_is_refused;
    limits::nesting_a_million_deep_is_refused;
    limits::a_key_of_70_kb_is_kept_or_refused_with_a_reason;
    limits::a_large_bulk_that_never_comes_costs_no_memory;
    limits::a_client_that_sends_a_byte_at_a_time_is_served_and_others_unharmed;
    limits::a_slow_reader_gets_everything;
    limits::a_client_that_never_reads_is_bounded_and_others_unharmed, unless Redis: "Redis buffers without a limit";
    limits::a_reset_while_paused_frees_the_connection_without_a_spin;
    limits::half_a_request_and_gone_leaves_nothing;
    limits::random_bytes_never_harm_the_others;
    limits::data_of_four_times_the_memory_is_served_within_it, unless Redis: "Redis keeps all of it in memory";
    limits::descriptors_used_up_stop_accepting_without_a_spin, unless Redis: "Redis lowers maxclients instead",
        unless Windows: "no descriptor limit", unless WindowsHost: "no descriptor limit";

    hostile::a_flood_of_connects_takes_only_its_share, unless Redis: "the bounds are Modb's own";
    hostile::silent_clients_take_only_their_share, unless Redis: "the bounds are Modb's own";
    hostile::half_sent_requests_take_only_their_share, unless Redis: "the bounds are Modb's own";
    hostile::a_byte_a_second_takes_only_its_share, unless Redis: "the bounds are Modb's own";
    hostile::clients_that_never_read_take_only_their_share, unless Redis: "the bounds are Modb's own";
    hostile::resets_while_paused_take_only_their_share, unless Redis: "the bounds are Modb's own";
    hostile::a_thousand_at_once_take_only_their_share, unless Redis: "the bounds are Modb's own";
    #[ignore = "a minute for each kind"]
    hostile::long_every_kind_of_hostile_client_for_a_minute, unless Redis: "the bounds are Modb's own";

    share::a_thousand_half_sent_requests_stay_within_the_promise, unless Redis: "the bounds are Modb's own",
        unless Wine: "a thousand sockets are too many for its server";
    share::a_thousand_that_ask_for_16_mb_and_never_read_stay_within_the_promise, unless Redis: "the bounds are Modb's own",
        unless Wine: "a thousand sockets are too many for its server";
    #[ignore = "a gigabyte is written first"]
    share::long_a_thousand_that_ask_for_their_own_megabyte_and_never_read_stay_within_the_promise,
        unless Redis: "the bounds are Modb's own", unless Wine: "a thousand sockets are too many for its server";
    share::values_of_16_mb_at_once_are_all_served, unless Redis: "the bounds are Modb's own";
    #[ignore = "a gigabyte is written and read"]
    share::long_64_values_of_16_mb_at_once_are_all_served, unless Redis: "the bounds are Modb's own";
    share::large_values_on_the_disk_are_read_where_there_is_room_beside_what_others_hold, unless Redis: "the bounds are Modb's own";
    share::parts_of_large_values_hold_no_more_than_they_are, unless Redis: "the bounds are Modb's own";
    share::an_mset_of_half_a_million_pairs_is_served;
    #[ignore = "a request of 280 MB"]
    share::long_an_mset_of_20_million_pairs_is_served_or_refused_readably;
    share::who_sends_many_that_take_a_while_lets_others_in_between, unless Redis: "Redis executes what was sent at once at once";
    share::who_reads_steadily_is_not_idle;
    share::who_quits_and_pauses_still_gets_everything;

    admission::a_flood_leaves_the_descriptors_that_large_writes_need, unless Redis: "the bounds are Modb's own",
        unless Windows: "no descriptor limit", unless WindowsHost: "no descriptor limit";
    admission::a_flood_leaves_the_descriptors_that_writes_need_also_when_they_are_few, unless Redis: "the bounds are Modb's own",
        unless Windows: "no descriptor limit", unless WindowsHost: "no descriptor limit";
    admission::strangers_leave_seats_for_this_machine, unless Redis: "the bounds are Modb's own",
        unless Windows: "a Linux network cannot hold a Windows program", unless WindowsHost: "networks of one's own are Linux's";
    admission::a_file_is_a_door_too_and_a_dead_servers_file_is_taken_over, unless Redis: "Redis takes over any",
        unless Windows: "Wine has no such sockets, and Rust's library none on Windows";

    access::without_the_password_nothing_is_served;
    access::a_wrong_password_is_refused;
    access::hello_can_authenticate;
    access::unauthenticated_clients_may_not_announce_large_requests;
    access::without_a_password_clients_from_elsewhere_are_refused;
    access::a_server_that_is_open_to_all_is_warned_about, unless Redis: "Redis warns of nothing";
    access::a_password_comes_from_a_file_or_the_environment, unless Redis: "the option is Modb's own";
    access::a_web_page_cannot_give_commands;
    access::a_request_line_of_http_is_no_command_whatever_its_method, unless Redis: "Redis knows POST and Host: only";
    access::one_client_too_many_is_told_and_closed_and_the_others_stay;
    access::an_idle_client_is_closed_and_a_busy_one_is_not;
    access::a_backup_is_written_for_clients_of_this_machine_only, unless Redis: "the command is Modb's own";

    memory::pipelined_writes_of_4_kib_stay_within_the_promise, unless Redis: "Redis keeps all of it in memory",
        unless Wine: "Wine's own memory and delays would be measured";
    memory::values_of_16_mb_stay_within_the_promise, unless Redis: "Redis keeps all of it in memory",
        unless Wine: "Wine's own memory and delays would be measured";
    memory::batches_of_a_thousand_large_values_stay_within_the_promise, unless Redis: "Redis keeps all of it in memory",
        unless Wine: "Wine's own memory and delays would be measured";
    memory::a_thousand_growing_values_stay_within_the_promise, unless Redis: "Redis keeps all of it in memory",
        unless Wine: "Wine's own memory and delays would be measured";
    memory::a_restart_with_little_memory_stays_within_the_promise, unless Redis: "Redis keeps all of it in memory";
    #[ignore = "minutes"]
    memory::long_collections_that_come_and_go_stay_within_the_promise, unless Redis: "Redis keeps all of it in memory",
        unless Windows: "a shell starts it", unless WindowsHost: "a shell starts it";
    memory::the_promised_memory_is_enough, unless Redis: "Redis keeps all of it in memory",
        unless Windows: "control groups are Linux's";

    shortage::a_nearly_full_disk_takes_what_makes_room, unless Redis: "Redis has no such bound";
    shortage::a_flush_that_cannot_be_done_is_said_and_done_once_it_can, unless Redis: "Redis has no table files",
        unless Windows: "a folder with open files keeps its name", unless WindowsHost: "a folder with open files keeps its name";

    shortage::descriptors_taken_away_5_times_come_back_5_times, unless Redis: "Redis needs none while it writes",
        unless Windows: "no descriptor limit", unless WindowsHost: "no descriptor limit";
    shortage::that_nobody_can_be_accepted_is_said_once_and_not_at_every_try, unless Redis: "Redis says so at every try",
        unless Windows: "no descriptor limit", unless WindowsHost: "no descriptor limit";
    shortage::what_is_on_the_disk_is_read_where_no_descriptor_is_left, unless Redis: "its data lie in memory",
        unless Windows: "no descriptor limit", unless WindowsHost: "no descriptor limit";
    shortage::space_taken_away_5_times_comes_back_5_times, unless Redis: "Redis answers an error or ends",
        unless Windows: "a file that takes all space is made by Linux here";
    shortage::memory_taken_away_5_times_comes_back_5_times, unless Redis: "Redis ends",
        unless Windows: "memory of others is not bounded from outside", unless WindowsHost: "as above";
    #[ignore = "minutes of load"]
    shortage::long_memory_taken_away_20_times_comes_back_20_times, unless Redis: "Redis ends",
        unless Windows: "memory of others is not bounded from outside", unless WindowsHost: "as above";
    shortage::who_asks_for_more_memory_than_there_is_gets_an_error_and_nobody_else, unless Redis: "Redis ends",
        unless Windows: "memory of others is not bounded from outside", unless WindowsHost: "as above";
    shortage::a_record_on_the_disk_for_which_there_is_no_memory_is_an_error_to_who_reads_it, unless Redis: "Redis has no records on the disk",
        unless Windows: "memory of others is not bounded from outside", unless WindowsHost: "as above";
    #[ignore = "minutes of load"]
    shortage::long_descriptors_and_space_taken_away_20_times_come_back_20_times, unless Redis: "Redis has no such bound",
        unless Windows: "no descriptor limit", unless WindowsHost: "no descriptor limit";

    costs::costs_grow_as_the_table_of_commands_says, unless Redis: "the table is Modb's own";
    costs::small_keys_cost_the_same_beside_large_values_of_any_size, unless Redis: "its data lie in memory";
    costs::a_large_value_is_read_by_who_needs_its_bytes_and_once, unless Redis: "its data lie in memory";
    costs::nearly_all_elements_are_chosen_at_the_cost_of_passing_over_all, unless Redis: "it has no pages";
    costs::overwriting_more_keys_than_memory_holds_reads_nothing, unless Redis: "its data lie in memory";

    counts::commands_are_counted_by_name_and_outcome_and_forgotten_when_asked;
    counts::what_a_transaction_executes_is_counted_and_noted_command_by_command;
    counts::what_was_asked_and_answered_is_counted;
    counts::what_info_says_of_the_process_is_so, unless Wine: "Wine's own memory and time would be measured";
    told::what_info_says_of_those_who_come_and_go_is_so, unless Redis: "the fields are Modb's own";
    told::what_info_says_of_the_log_and_to_tools_is_so, unless Redis: "the fields are Modb's own";
    counts::what_a_command_took_is_told_as_it_was;
    counts::what_a_command_waited_for_is_no_time_of_its_own, unless Redis: "Redis holds no keys";
    counts::who_is_served_is_told_what_that_took;
    counts::who_waits_is_told_what_he_did_before, unless Redis: "7.0 times nobody whose wait was in vain";
    counts::what_comes_next_has_not_taken_the_time_of_what_was_before;
    counts::the_first_request_does_not_wait_for_a_clock,
        unless Wine: "its server takes longer for any request";
    counts::the_rate_is_that_of_the_moment;
    counts::a_killed_client_is_gone_from_the_list_at_once;
    counts::nothing_that_a_killed_client_sends_is_executed;

    #[ignore = "ten minutes"]
    disk::long_the_disk_holds_twice_what_lives_and_a_gibibyte_for_ten_minutes, unless Redis: "its data lie in memory";
    #[ignore = "90 seconds of load"]
    disk::long_the_disk_holds_twice_what_lives_and_a_gibibyte_beside_large_values, unless Redis: "its data lie in memory";

    beside::readers_beside_syncs_of_10_ms_wait_no_longer_than_where_nobody_syncs, unless Redis: "it syncs itself, and all wait",
        unless Windows: "a library of ours is preloaded", unless WindowsHost: "a library of ours is preloaded";
    #[ignore = "two minutes of load"]
    beside::long_readers_beside_8_writers_of_16_mb_wait_no_longer_than_beside_busy_threads, unless Redis: "the bounds are Modb's own";
    #[ignore = "a minute"]
    beside::long_random_keys_come_within_a_millisecond_in_every_state, unless Redis: "Redis walks longer";
    #[ignore = "a gigabyte and its copy"]
    beside::long_writers_beside_a_backup_of_a_gigabyte_wait_at_most_twice_as_long, unless Redis: "the tasks are Modb's own";

    #[ignore = "minutes"]
    ten_million::long_others_are_served_beside_what_works_long_on_very_many_elements, unless Redis: "the bounds are Modb's own";

    durable::a_value_survives_kill_in_every_mode;
    durable::a_pipeline_answered_before_the_kill_is_all_there;
    durable::who_waits_alone_is_answered_by_a_sync_of_its_own_worker;
    durable::counters_and_lengths_are_exact_after_a_kill;
    durable::times_to_live_continue_over_a_restart;
    durable::what_expired_while_down_stays_gone;
    durable::a_hundred_restarts_of_nothing_change_nothing, unless Redis: "proven with Modb only";
    durable::a_disk_that_fills_refuses_writes_and_serves_again_when_freed, unless Redis: "Redis exits instead";

    shutdown::a_signal_ends_it_with_status_0_and_keeps_the_data,
        unless Wine: "Ctrl-Break stands for the signal there, and Wine has none";
    shutdown::ctrl_c_ends_it_like_a_termination_signal;
    shutdown::the_command_ends_it_with_status_0_and_keeps_the_data;
    shutdown::who_asked_for_the_end_hears_of_it_when_the_folder_is_free, unless Redis: "Redis does not lock its folder";
    shutdown::what_was_read_is_answered_before_the_end, unless Redis: "Redis drops what is buffered";
    shutdown::idle_clients_do_not_delay_the_end;
    shutdown::a_client_that_never_reads_delays_the_end_only_so_long, unless Redis: "Redis does not wait";

    many::idle_connections_cost_little_memory, unless Redis: "Redis takes 10 KiB";
    many::a_thousand_busy_connections_are_spread_over_all_workers;
    many::idle_connections_cost_no_processor_time;
    #[ignore = "a minute of idling"]
    many::long_idle_for_a_minute_costs_less_than_one_percent;
    many::connections_come_and_go_without_a_leak;

    keys::scan_returns_every_key_that_was_there_throughout;
    keys::scan_goes_on_over_a_restart, unless Redis: "Redis's cursor ends with the process";
    keys::an_expired_key_is_gone_the_moment_it_is_asked_for;
    keys::expired_keys_are_removed_without_being_asked_for;
    keys::concurrent_increments_are_all_counted;
    keys::flushing_under_load_leaves_a_database_that_counts_right;

    isolation::nobody_sees_half_of_a_command,
        unless Wine: "readers rarely meet a command that becomes visible there";
    #[ignore = "a minute of load"]
    isolation::long_nobody_sees_half_of_a_command_in_a_minute;
    isolation::who_wants_what_is_held_waits_and_nobody_else_does, unless Redis: "Redis holds nothing";
    isolation::who_needs_many_gets_them_beside_those_who_hold_without_pause, unless Redis: "Redis holds nothing";
    isolation::who_waits_is_answered_after_a_half_close_and_in_a_shutdown, unless Redis: "Redis holds nothing",
        unless Wine: "a connection that does not read is not told of a reset there";

    histories::what_clients_get_at_once_has_an_order, unless Redis: "7.0 takes what was written first";
    #[ignore = "a minute of load"]
    histories::long_what_clients_get_at_once_has_an_order_a_thousand_times, unless Redis: "as above";

    long::others_of_its_worker_are_served_while_one_works_long, unless Redis: "Redis has no other thread for it",
        unless Wine: "a connection that does not read is not told of a reset there";
    long::what_is_executed_by_a_thread_is_executed_as_any_other, unless Redis: "Redis has no other thread for it";
    long::what_its_keys_make_long_holds_none_while_it_waits, unless Redis: "Redis has no other thread for it";
    long::who_is_served_before_his_worker_knows_that_he_waits_is_answered, unless Redis: "it has no such threads";
    long::what_a_thread_writes_is_told_and_serves_those_who_wait, unless Redis: "Redis has no other thread for it";
    long::what_was_too_light_is_left_to_a_thread_when_that_shows, unless Redis: "Redis has no other thread for it";
    long::what_moves_very_many_bytes_is_left_to_a_thread_and_comes_whole, unless Redis: "Redis has no other thread for it";
    long::what_a_client_says_of_the_next_command_is_said_of_one_that_a_thread_runs_again, unless Redis: "Redis has no other thread for it";
    long::a_shutdown_answers_what_takes_long, unless Redis: "Redis has no other thread for it";
    long::large_replies_wait_for_each_other_and_come_whole, unless Redis: "the bounds are Modb's own";

    messages::messages_that_come_together_keep_their_order_and_come_to_those_who_listened_before,
        unless Redis: "it tells who asks before it answers him";
    messages::messages_and_confirmations_have_the_form_of_the_protocol;
    messages::who_listens_in_resp2_may_give_few_commands;
    messages::a_message_comes_after_the_reply_to_who_published_it, unless Redis: "7.0 sends it before";
    messages::what_was_published_is_heard_before_what_is_asked_for_afterwards;
    messages::what_a_transaction_tells_leaves_with_it_and_after_its_reply, unless Redis: "7.0 sends it before";
    messages::all_who_listen_hear_all_channels_in_one_order;
    #[ignore = "80 million messages"]
    messages::long_a_thousand_who_listen_hear_80_000_messages_in_one_order;
    messages::publishers_of_more_than_waits_anywhere_are_held_up_and_nothing_is_lost,
        unless Wine: "240 MiB are slow there";
    messages::who_does_not_read_is_closed_within_its_limit_and_harms_nobody,
        unless Wine: "a connection that does not read is not told of a reset there";
    messages::listeners_come_and_go_by_every_way_beside_publishers;
    messages::a_shutdown_ends_those_who_listen;

    monitor::what_is_executed_is_shown_as_redis_shows_it;
    monitor::who_monitors_sees_what_he_does_himself_and_may_not_touch_keys;
    monitor::all_who_monitor_see_one_order_and_that_of_each_connection_and_key;
    monitor::who_monitors_and_does_not_read_is_closed_and_harms_nobody,
        unless Wine: "a connection that does not read is not told of a reset there";

    tracking::whoever_changes_a_key_tells_who_has_read_it;
    tracking::what_a_client_says_of_the_next_command_is_said_of_no_other;
    tracking::what_a_flush_tells_is_in_the_protocol_of_who_is_told, unless Redis: "it takes that of who tracks";
    tracking::what_is_tracked_is_bounded_and_leaves_with_its_client;
    tracking::another_is_told_in_its_place_until_it_goes;
    tracking::what_tells_of_a_change_comes_behind_the_reply_that_it_concerns;
    tracking::no_read_from_a_cache_is_older_than_a_write_that_was_answered;
    #[ignore = "a million reads"]
    tracking::long_of_a_million_reads_and_writes_none_is_older;

    events::what_is_done_to_keys_is_told_in_its_order;
    events::all_who_listen_hear_events_in_one_order_and_those_of_a_key_as_they_were;
    events::in_always_nobody_hears_of_what_is_not_safe_yet, unless Redis: "it tells before it syncs",
        unless Windows: "nothing is preloaded into programs there";

    command_line::one_shot_commands_print_the_reply, unless Redis: "needs modb-server beside it";
    command_line::the_exit_status_tells_errors, unless Redis: "needs modb-server beside it";
    command_line::a_dead_server_is_one_clear_line, unless Redis: "needs modb-server beside it";
    command_line::a_full_output_is_an_error_with_status_2, unless Redis: "needs modb-server beside it",
        unless Windows: "there is no device that is always full", unless WindowsHost: "there is no device that is always full";
    command_line::completions_complete_in_a_shell, unless Redis: "needs modb-server beside it",
        unless Windows: "bash is not at home there", unless WindowsHost: "bash is not at home there";
    command_line::a_reader_that_goes_ends_it_quietly, unless Redis: "needs modb-server beside it";
    command_line::a_complaint_names_the_thing_and_says_what_to_do, unless Redis: "needs modb-server beside it";
    command_line::shutting_down_is_a_success, unless Redis: "needs modb-server beside it";
    command_line::commands_without_a_reply_are_not_waited_for, unless Redis: "needs modb-server beside it";
    command_line::a_pipe_may_begin_with_the_mark_of_utf_8, unless Redis: "needs modb-server beside it";
    command_line::json_keeps_all_bytes_apart, unless Redis: "needs modb-server beside it";
    command_line::a_socket_of_this_machine_is_spoken_to_by_its_path, unless Redis: "needs modb-server beside it",
        unless Windows: "Wine has no such sockets", unless WindowsHost: "not tried there";
    command_line::bulk_data_is_sent_as_it_is_and_its_replies_are_counted, unless Redis: "needs modb-server beside it";
    command_line::a_script_can_end_at_the_first_error, unless Redis: "needs modb-server beside it";
    command_line::an_argument_can_come_from_standard_input, unless Redis: "needs modb-server beside it";
    command_line::colours_are_where_the_environment_wants_them, unless Redis: "needs modb-server beside it";
    command_line::raw_output_has_the_delimiters_that_are_asked_for, unless Redis: "needs modb-server beside it";
    command_line::keys_are_rated_by_the_memory_they_take, unless Redis: "needs modb-server beside it";
    command_line::a_pipe_can_authenticate_itself, unless Redis: "needs modb-server beside it";
    command_line::an_address_may_stand_in_brackets, unless Redis: "needs modb-server beside it";
    command_line::the_password_and_the_database_can_be_given, unless Redis: "needs modb-server beside it";

    prompt::a_password_can_be_typed_and_is_remembered, unless Redis: "needs modb-server beside it",
        unless Windows: "a console is not typed into from here", unless WindowsHost: "a console is not typed into from here";
    prompt::the_password_is_asked_for_behind_a_mask, unless Redis: "needs modb-server beside it",
        unless Windows: "a console is not typed into from here", unless WindowsHost: "a console is not typed into from here";
    prompt::names_of_keys_are_completed, unless Redis: "needs modb-server beside it",
        unless Windows: "a console is not typed into from here", unless WindowsHost: "a console is not typed into from here";
    prompt::what_removes_everything_is_asked_about, unless Redis: "needs modb-server beside it",
        unless Windows: "a console is not typed into from here", unless WindowsHost: "a console is not typed into from here";
    prompt::what_is_higher_than_the_window_goes_to_the_pager, unless Redis: "needs modb-server beside it",
        unless Windows: "a console is not typed into from here", unless WindowsHost: "a console is not typed into from here";
    prompt::lines_typed_ahead_are_executed_in_order, unless Redis: "needs modb-server beside it",
        unless Windows: "a console is not typed into from here", unless WindowsHost: "a console is not typed into from here";
    prompt::of_a_paste_each_line_is_executed, unless Redis: "needs modb-server beside it",
        unless Windows: "a console is not typed into from here", unless WindowsHost: "a console is not typed into from here";
    prompt::what_a_transaction_and_messages_do_to_the_prompt, unless Redis: "needs modb-server beside it",
        unless Windows: "a console is not typed into from outside";
    prompt::what_comes_unasked_is_shown_above_the_line, unless Redis: "needs modb-server beside it",
        unless Windows: "a console is not typed into from here", unless WindowsHost: "a console is not typed into from here";
    prompt::who_listens_is_told_that_the_connection_is_lost_and_listens_again_over_another, unless Redis: "needs modb-server beside it",
        unless Windows: "a console is not typed into from here", unless WindowsHost: "a console is not typed into from here";
    prompt::messages_of_the_older_protocol_come_until_ctrl_c, unless Redis: "needs modb-server beside it",
        unless Windows: "a console is not typed into from here", unless WindowsHost: "a console is not typed into from here";
    prompt::ctrl_c_ends_every_wait, unless Redis: "needs modb-server beside it",
        unless Windows: "a console is not typed into from here", unless WindowsHost: "a console is not typed into from here";
    prompt::a_server_that_hangs_is_given_up, unless Redis: "needs modb-server beside it",
        unless Windows: "a console is not typed into from here", unless WindowsHost: "a console is not typed into from here";
    prompt::a_line_survives_every_width_of_the_window, unless Redis: "needs modb-server beside it",
        unless Windows: "a console is not typed into from here", unless WindowsHost: "a console is not typed into from here";
    prompt::bars_and_tables_fit_a_narrow_window, unless Redis: "needs modb-server beside it",
        unless Windows: "a console is not typed into from here", unless WindowsHost: "a console is not typed into from here";
    prompt::without_utf_8_nothing_else_is_shown, unless Redis: "needs modb-server beside it",
        unless Windows: "a console is not typed into from here", unless WindowsHost: "a console is not typed into from here";
    prompt::a_prompt_whose_output_is_full_ends_with_status_2, unless Redis: "needs modb-server beside it",
        unless Windows: "a console is not typed into from here", unless WindowsHost: "a console is not typed into from here";
    prompt::the_end_of_a_server_is_seen_and_its_return_too, unless Redis: "needs modb-server beside it",
        unless Windows: "a console is not typed into from here", unless WindowsHost: "a console is not typed into from here";

    cross::a_windows_client_speaks_to_a_linux_server, unless Redis: "needs modb-server beside it",
        unless Windows: "the server under test is not the Linux one", unless WindowsHost: "needs both systems";
    cross::linux_clients_speak_to_a_windows_server, unless Redis: "needs modb-server beside it",
        unless WindowsHost: "needs both systems";

    care::a_backup_under_load_restored_holds_what_was_acknowledged, unless Redis: "the tasks are Modb's own";
    care::a_backup_of_a_folder_at_rest_is_restored, unless Redis: "the tasks are Modb's own";
    care::a_full_backup_shares_no_byte_with_the_data_and_a_linked_one_its_tables, unless Redis: "the tasks are Modb's own";
    care::a_flipped_byte_is_found, unless Redis: "the tasks are Modb's own";
    care::folders_that_hold_something_are_not_filled, unless Redis: "the tasks are Modb's own";
    care::what_cannot_be_done_is_said_with_status_2, unless Redis: "the tasks are Modb's own";
    care::compaction_gives_space_back_served_or_not, unless Redis: "the tasks are Modb's own";
    care::a_copy_or_a_closed_folder_that_lost_something_is_refused, unless Redis: "the tasks are Modb's own";
    care::a_task_that_failed_leaves_nothing_behind, unless Redis: "the tasks are Modb's own";
    care::check_and_backup_need_no_disk_that_can_be_written, unless Redis: "the tasks are Modb's own";

    versions::a_folder_of_version_1_is_read_and_brought_forward, unless Redis: "the folders are Modb's own";
    versions::a_folder_of_version_2_is_read_and_brought_forward, unless Redis: "the folders are Modb's own";
    versions::a_folder_of_a_later_version_is_refused_and_no_damage, unless Redis: "the folders are Modb's own";
    versions::no_value_is_taken_for_a_piece_of_the_log, unless Redis: "the log is Modb's own";

    types::nested_replies_are_shown_as_redis_cli_shows_them;
    types::the_largest_of_each_type_are_found;
    types::sorting_counting_and_places_answer_the_same_after_a_kill, unless Redis: "it syncs when it is told to, and its memory is its own";
    collections::collections_survive_12_kills;
    collections::a_backup_under_load_has_whole_collections;
    #[ignore = "500 restarts"]
    collections::long_collections_survive_500_kills;
    crash::acknowledged_writes_survive_25_kills;
    held::those_who_wait_for_very_many_keys_hold_no_more_than_connections_may, unless Redis: "the bounds are Modb's own";
    held::who_waits_for_many_keys_is_gone_with_its_connection, unless Redis: "the bounds are Modb's own";
    held::keys_that_are_tracked_are_counted_until_nobody_tracks_them, unless Redis: "the bounds are Modb's own";
    held::those_who_queue_much_hold_no_more_than_connections_may, unless Redis: "the bounds are Modb's own";
    held::those_who_watch_many_keys_hold_no_more_than_connections_may, unless Redis: "the bounds are Modb's own";
    held::those_who_watch_very_many_keys_hold_no_more_than_connections_may, unless Redis: "the bounds are Modb's own";
    held::those_who_track_many_keys_hold_no_more_than_connections_may, unless Redis: "the bounds are Modb's own",
        unless Wine: "120 MiB are slow there";
    held::what_each_client_holds_is_said, unless Redis: "the bounds are Modb's own";
    library::the_library_has_requests_executed_as_one;
    library::a_transaction_of_the_library_begins_anew_until_nobody_interferes;
    library::a_subscription_of_the_library_ends_without_an_error_where_it_is_meant_to;
    library::a_subscription_of_the_library_hears_shard_channels_beside_others;
    transactions::a_transaction_is_whole_for_everybody_who_looks;
    transactions::counting_behind_a_watch_loses_nothing;
    transactions::whoever_changes_a_watched_key_breaks_the_transaction;
    transactions::who_waits_is_served_by_a_transaction_as_a_whole;
    transactions::what_is_queued_is_bounded_and_goes_with_its_connection, unless Redis: "Redis counts it otherwise";
    transactions::ten_thousand_commands_are_executed_as_one;
    transactions::transactions_are_whole_through_kills, unless Redis: "Redis may lose what it has acknowledged";
    #[ignore = "500 restarts"]
    crash::long_acknowledged_writes_survive_500_kills;
}
