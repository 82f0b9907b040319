/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* store_power - from now on, files of SQLite keep only what was synced when this process is killed. For store_crash. */

void store_power_hold(void);
