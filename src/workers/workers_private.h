/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * workers_private - what the files of this room share.
 *
 *	pool.c        the whole: how many there should be, which worker takes the next request, the end
 *	process.c     one worker process from start to end
 *	control.c     the pipe on which it says how it is
 *	report.c      the lines by which a worker and a nursery tell how they are
 *	nursery.c     the process that has loaded the code and forks workers
 *	reload.c      generations: those started by one workers_reload()
 *	proxy.c       one request on its way to a worker and back
 *	direct.c      client connections that the only worker serves itself
 *	ops.c         what is answered here: health, metrics of all
 *	errors.c      what clients are told, in the form of their protocol
 *	exposition.c  several texts of metrics made one
 *
 * Threads: all on the loop; `lock` guards what workers_start() waits for.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "loop/loop.h"
#include "net/passing.h"
#include "workers/spawn.h"
#include "workers/workers.h"

enum {
	YOUNG_MS = 10000,       /* a worker that dies before this age was ill from birth: the next one waits */
	BACKOFF_LEAST_MS = 100, /* doubles with each that dies young */
	BACKOFF_MOST_MS = 10000,
	ABORT_MS = 1000,  /* from SIGABRT, by which Python prints where it stands, to SIGKILL */
	STATUS_MS = 1000, /* between the end of the channel and that of the process: longer is one that hangs */
	FAILED_MS =
	    2000, /* between the word that the start has failed and the end: what the code has begun may keep the process */
	TOLD_MS = 1000, /* between a worker's SIGKILL and its nursery's word of it: longer is a nursery that hangs */
	RSS_CHECK_MS = 1000,
	AHEAD_MAX =
	    8, /* requests given to the one worker behind those it works on, so that it need not wait for the next */
	TRIES_MAX = 3,       /* workers that a request may be sent to, when the ones before did nothing for it */
	START_LOOK_MS = 100, /* between two looks whether a start is still wanted */
	HELLO_MS = 1000,     /* between what a worker says on its two sockets as it gets ready */
	CONTROL_LINE = 65536,
	WORKER_FDS = 3,
};
#define KEPT_MAX KIB(64)  /* a body up to this size can be sent again */
#define WANT     KIB(256) /* bytes of a body asked for ahead */

enum cause {
	CAUSE_EXIT,    /* ended by itself */
	CAUSE_SIGNAL,  /* killed by one */
	CAUSE_START,   /* never got ready */
	CAUSE_TIMEOUT, /* a request passed timeout_ms */
	CAUSE_MEMORY,  /* over rss_limit */
	CAUSE_REQUESTS,
	CAUSE_RELOAD,
	CAUSE_STOP,
	CAUSE_COUNT
};

enum process_state {
	PROCESS_STARTING, /* until it says that it is ready */
	PROCESS_READY,
	PROCESS_RETIRING, /* takes no more requests, answers those it has */
	PROCESS_ENDING,   /* told to end; what it had has been answered or is lost */
};

/* A request on its way to a worker and back. */
struct proxy {
	struct workers *workers;
	struct request *req;     /* NULL once it is answered, or its client is gone */
	struct process *process; /* NULL while it waits in the queue */
	struct client_stream *stream;
	struct proxy *next, *previous; /* in the queue, or among a process's proxies or mourners, or free */
	int64_t progress_ns;           /* when the worker was given, or gave, something last */
	struct buffer kept;            /* the body so far, for another worker */
	struct passing passing;
	unsigned tries;
	bool is_kept; /* `kept` has all of the body that has come */
	bool is_queued;
	bool is_asking; /* the body was asked for */
	bool has_head;  /* of the answer */
	bool has_ended; /* the answer */
	bool is_tunnel; /* WebSocket */
	bool is_cut;    /* the stream was reset by this side */
	bool is_ahead;  /* given ahead of its turn: the worker has not begun it */
};

struct process {
	struct workers *workers;
	struct generation *generation;
	struct process *next;       /* of workers->processes */
	struct process *next_birth; /* waits for the nursery's answer */
	enum process_state state;
	unsigned index; /* its place among the workers: 0 to count - 1; two share one while the one takes over */
	pid_t pid;      /* 0 until it is known */
	int pidfd;      /* -1 until then */
	struct watch pidfd_watch, control_watch;
	bool watches_pidfd;
	struct client *client;
	struct giver *giver;       /* NULL: no connections are lent to it */
	int control_fd;            /* -1: closed */
	int child_fds[WORKER_FDS]; /* channel, control, direct; -1: none, or closed */
	struct buffer control_text;
	struct spawn spawn;
	bool is_spawning; /* the spawner has `spawn` */
	char kind[24], text[160];
	unsigned slots, in_flight;
	size_t served, served_most; /* requests; 0: no limit */
	int64_t ready_ns;           /* 0: never */
	uint64_t used;              /* when it was given a request last: workers->clock then */
	bool is_due;                /* to be replaced: it goes when another one is ready */
	bool is_hung;
	bool has_cause;
	enum cause cause;
	bool has_ended;     /* the process has */
	int wait_status;    /* then: as of waitpid(), -1 unknown */
	struct timer timer; /* of the state */
	struct timer request_timer;
	struct proxy *proxies;  /* whose requests it has */
	struct proxy *mourners; /* whose requests it had when its channel ended */
	struct error failure;   /* of the start */
};

struct generation {
	struct workers *workers;
	struct generation *next;
	unsigned number;
	size_t process_count;
	struct nursery *nursery; /* NULL unless preloaded */
	struct error failure;    /* why it did not come up */
	bool has_failed;
};

struct backoff {
	int64_t delay_ms, at_ns;
};

struct workers {
	struct workers_config config;
	const struct error
	    *doom; /* what the request is told that is being given to workers_proxy_request(); NULL: nothing yet */
	struct loop *loop;
	struct spawner *spawner;
	struct process *processes;
	struct generation *generations;      /* all that have processes or a nursery */
	struct generation *current, *coming; /* coming: has yet to prove itself, with one process */
	unsigned generation_count;
	bool reloads_again; /* asked for while one was coming */
	bool is_started, is_stopping;
	uint64_t clock;
	struct proxy *queue_first, *queue_last;
	size_t queue_len;
	size_t ahead_len; /* proxies with is_ahead: they wait too */
	struct proxy *free_proxies;
	size_t free_proxy_count;
	struct backoff backoff;
	struct timer restart_timer, check_timer;
	struct error start_failure; /* why the last start failed; cleared when one gets ready */
	struct loop_message start, reload, stop;
	_Atomic bool reload_is_sent; /* by any thread; the loop clears it when it takes the message */
	struct loop_task settle;
	struct metric_series *ready_gauge, *queue_gauge, *restarts[CAUSE_COUNT];
	int64_t ready_shown, queue_shown;

	/* Between the loop and workers_start(): */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool has_loop, has_result, has_come_up;
	struct error result;
	/* Written before has_come_up is, once: what the first ready worker said. */
	char kind[24], text[160];
};

static inline int64_t after_ms(const struct workers *w, int64_t ms)
{
	return loop_now(w->loop) + ms * NS_PER_MS;
}

static inline struct workers *workers_of(const struct request *req)
{
	return req->context;
}

/* All paths are the application's. */
bool workers_is_app(const struct workers *w);

/* ---- pool.c ---- */

/* Looks at what there should be and is, and takes the steps between; at the end of this turn. */
void pool_settle(struct workers *w);
/* Gives waiting requests to workers that are free. */
void pool_dispatch(struct workers *w);
/* A worker that may take one more request; NULL when there is none. `may_wait`: there it may wait for its turn. */
struct process *pool_choose(struct workers *w, bool may_wait);
size_t pool_ready_count(const struct workers *w);
/* Requests that wait for a worker, here or there. */
size_t pool_queue_len(const struct workers *w);
void pool_show(struct workers *w); /* in the gauges */
/* Which says why no worker can be expected to take a request soon: false while one can. */
bool pool_is_down(const struct workers *w, struct error *ret);
/* The outcome of workers_start(). */
void pool_tell_start(struct workers *w, const struct error *failure);
/* How long to wait before another one is started, after one that lived that long. Moves the back-off on. */
void backoff_died(struct backoff *b, int64_t now_ns, int64_t lived_ns);

void queue_push(struct workers *w, struct proxy *x);
void queue_push_front(struct workers *w, struct proxy *x);
void queue_remove(struct workers *w, struct proxy *x);

/* ---- process.c ---- */

struct process *process_start(struct workers *w, struct generation *g, unsigned index);
/* The nursery's answer: it has this pid. */
void process_born(struct process *p, pid_t pid);
/* It could not be started. */
void process_unborn(struct process *p, const struct error *why);
void process_ended(struct process *p, int wait_status);
/* Takes no more requests; ends when it has answered those it has. */
void process_retire(struct process *p, enum cause cause);
/* Is told to end, now. */
void process_end(struct process *p, enum cause cause);
/* SIGABRT, and later SIGKILL. */
void process_abort(struct process *p, enum cause cause);
void process_kill(struct process *p, enum cause cause);
/* It is retiring, and has answered all: it ends. */
void process_retired(struct process *p);
/* A request was given to it: the limits on its time are looked after. */
void process_time_requests(struct process *p);
void process_check_memory(struct process *p);
/* One of its requests is done with. */
void process_released(struct process *p);
/* It is looked whether it has served as many as it may. */
void process_note_served(struct process *p);
/* Watches the process itself: for a nursery's child, when the nursery can tell its end no more. It may be freed. */
void process_watch_end(struct process *p);
static inline bool process_can_take(const struct process *p)
{
	return p->state == PROCESS_READY && p->client && p->in_flight < p->slots && !client_is_refusing(p->client);
}
/* The same for a request that is whole and may be sent to another worker as well, should this one not come to it: only where no
 * other worker could take it sooner, and one call follows the other, so that what was begun is known. */
static inline bool process_can_queue(const struct process *p)
{
	return p->state == PROCESS_READY && p->client && p->slots == 1 && p->workers->config.count == 1 &&
	       p->in_flight > 0 && p->in_flight <= AHEAD_MAX &&
	       (!p->served_most || p->served + p->in_flight < p->served_most) && !p->is_due && p->proxies &&
	       p->proxies->passing.is_whole && !client_is_refusing(p->client);
}
/* "worker 1234 was killed by signal 11 (Segmentation fault)" */
void process_obituary(const struct process *p, struct error *ret);

/* ---- control.c ---- */

bool control_open(struct process *p, struct error *err);
void control_read(struct process *p); /* all that is there */
void control_close(struct process *p);
/* It has said all it has to. */
void process_is_ready(struct process *p);
/* Why the start failed: the first reason counts. */
void process_failed(struct process *p, const struct error *why);

/* ---- report.c ---- */

/* A line of a control pipe or a nursery's socket. */
struct worker_report {
	char state[16], kind[24], text[160];
	uint64_t slots;
	int64_t pid, ended, status; /* -1: not there */
	struct span error, traceback;
};
bool worker_report_read(struct span line, struct worker_report *ret, struct arena *arena, struct error *err);
/* The error a start fails with, by what the worker said; logs all of it. */
void worker_report_failure(const struct worker_report *report, bool is_exposed, struct error *ret);

/* ---- nursery.c ---- */

struct nursery *nursery_start(struct generation *g);
bool nursery_is_loaded(const struct nursery *n);
/* Has it fork a worker with these descriptors, which stay the caller's. process_born() or process_unborn() follows. */
void nursery_fork(struct nursery *n, struct process *p);
/* The process is gone, whatever the nursery still says. */
void nursery_forget(struct nursery *n, struct process *p);
/* Its processes have ended: it may go too. generation_drop() follows when it has. */
void nursery_end(struct nursery *n, bool is_hasty);

/* ---- reload.c ---- */

/* Starts a generation, or notes that one is wanted after the one that is coming. */
void reload_start(struct workers *w);
/* One of its processes is ready. */
void generation_ready(struct generation *g, struct process *p);
/* Its first process, or its nursery, failed. */
void generation_failed(struct generation *g, const struct error *why);
/* Frees it when nothing is left of it. */
void generation_drop(struct generation *g);
/* Its nursery has ended, and is freed. */
void generation_nursery_gone(struct generation *g, const struct error *why, bool was_loaded);

/* ---- proxy.c ---- */

void workers_proxy_request(struct request *req);
/* Sends a waiting request to this process. */
void proxy_give(struct proxy *x, struct process *p);
/* Answers one that waits with an error, and frees it. */
void proxy_fail(struct proxy *x, const struct error *err);
void workers_proxies_free(struct workers *w);
/* The channel's end: what becomes of those that had requests there, once it is known how the process ended. */
void proxies_mourn(struct process *p);
/* Takes back what the process has not begun. */
void proxies_take_back(struct process *p);
/* Looks for requests over the time limit; returns when to look again, INT64_MAX for never. */
int64_t proxies_check(struct process *p, int64_t now_ns, bool *ret_is_hung);

/* ---- direct.c ---- */

/* Before the worker is started: process->giver and the descriptor for it; none where there are more workers than one. */
bool giver_new(struct process *p, struct error *err);
void giver_free(struct giver *g);  /* NULL is allowed, here and below */
void giver_ready(struct giver *g); /* its process's slots and limits are known */
/* It is to give back what it has, as it is done with it. */
void giver_release(struct giver *g);
/* It is to end what it has, and itself. */
void giver_end(struct giver *g);
/* Its process has ended: what was lent to it is taken back, or told. */
void giver_mourn(struct giver *g);
/* It has not yet said that it takes connections. */
bool giver_is_expected(const struct giver *g);
/* Nothing is lent that is worth waiting for. */
bool giver_is_done(const struct giver *g);
size_t giver_waiting(const struct giver *g);
size_t giver_served(const struct giver *g);
/* Adds what it has done to the metrics. */
void giver_count(struct giver *g);

/* ---- ops.c ---- */

/* Answers when the path is one of ours. */
bool ops_answer(struct request *req);
/* These first bytes of a request ask for such a path. */
bool ops_is_asked(const struct workers *w, struct span first);
/* All of them, each with its NUL, as many as there is room for; their length. */
size_t ops_paths(const struct workers *w, char *to, size_t size);

/* ---- errors.c ---- */

extern const struct surface surface_workers;
