/* SPDX-License-Identifier: Apache-2.0 */
/*
 * threads - the interpreter's lock on the library's threads. A thread's Python state is made at its first call and kept
 * until the thread ends: making one for each call (as PyGILState_Ensure() alone does) costs more than many a model.
 */
#include "python.h"

#include <pthread.h>
#include <stdatomic.h>

static _Thread_local PyThreadState *state;
static pthread_key_t at_exit;
static _Atomic int has_ended;
static _Thread_local int is_driver;

static void thread_ends(void *kept)
{
	if (has_ended)
		return; /* no interpreter is left to give the state back to */
	/* By hand, and not by PyGILState_Release(): its own note of the thread's state may have been cleared before ours. */
	PyEval_RestoreThread(kept);
	PyThreadState_Clear(kept);
	(void)PyEval_SaveThread();
	PyThreadState_Delete(kept);
}

int python_drives(int drives)
{
	int before = is_driver;

	is_driver = drives;
	return before;
}

void python_enter(void)
{
	PyThreadState *known;

	if (is_driver)
		return;
	known = state ? state : PyGILState_GetThisThreadState();
	if (known) { /* made here before, or a thread of Python's own */
		PyEval_RestoreThread(known);
		return;
	}
	(void)PyGILState_Ensure();
	state = PyThreadState_Get();
	pthread_setspecific(at_exit, state);
}

void python_leave(void)
{
	if (is_driver)
		return;
	(void)PyEval_SaveThread();
}

int threads_init(void)
{
	if (pthread_key_create(&at_exit, thread_ends) == 0)
		return 0;
	PyErr_NoMemory();
	return -1;
}

void threads_end(void)
{
	has_ended = 1;
}
