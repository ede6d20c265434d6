-- Something to read on the first day: `turnout db seed`. Where there are posts or entries already it adds none.
insert into posts (title, content, created_at)
select column1, column2, strftime('%Y-%m-%d %H:%M:%S', 'now', column3) from (values
('What a turnout does', 'A turnout is the piece of track where one line becomes two. English railwaymen call it a set of points; the word on the drawings is turnout. It has two blades, thin as a hand at the tip, and a rod that moves them by eleven centimetres. That is all. Eleven centimetres decide whether you wake up in the mountains or at the sea.

The blades are planed from ordinary rail, so that the wheel leaves one and finds the other without noticing. A good turnout is one that nobody on the train can feel. The people who look after it come at night with a lamp, a brush and a tin of graphite, and they listen as much as they look.

I like things that work in this way: a great deal of care, gathered in one place, so that everywhere else may be a straight line.', '-41 days'),
('The last signal box at Hallow Bridge', 'The box closed on a Friday, with a man from the newspaper and a cake in the shape of a lever. Forty levers, to be exact, in a row that had been polished by sleeves since 1911.

Edith Marsh had worked them for nineteen years. She told me that one does not pull a lever with the arm. You take hold, lean back, and let your weight remember the way. Number 27 was the heavy one: six hundred yards of wire to a distant signal, longer in summer than in winter, because wire is like that.

On Monday the line was run from a screen in a town forty miles off. It is safer, and it is never asleep. But on Saturday somebody had planted geraniums in the fire buckets, and they are still there.', '-33 days'),
('In praise of the slow train', 'The fast train takes fifty minutes and shows you a wall. The slow one takes two hours and shows you a county.

You see the backs of things, which are more honest than the fronts: washing, sheds, a trampoline, somebody''s unfinished boat. At every stop the doors open for twenty seconds and let in another kind of air. Hay, then bakery, then rain.

Nobody on the slow train is in a hurry, or they would have taken the other one. So people talk. Last week I learned how to prune a pear tree from a man who got off before I could ask about apples.

I shall have to take it again.', '-26 days'),
('A timetable is a promise', 'My grandfather drew timetables. Not the ones with columns: the real ones, a sheet two metres long on which every train is a slanting line, time from left to right and the stations from top to bottom. Where two lines cross, two trains meet, and there had better be a loop.

He drew them in pencil, at the kitchen table, over a winter. In spring they were printed and twenty thousand people set their mornings by them.

"A timetable is a promise," he said, "made by somebody you will never meet, to somebody they will never meet." Then he would sharpen the pencil, which he did with a knife.

I think of that sheet whenever a thing simply works. Somebody sat at a table, one winter.', '-19 days'),
('How to make tea on a footplate', 'First, you need a locomotive. Any kind will do as long as it has a fire, a shovel and somebody who trusts you with both.

Stand the can on the shelf above the fire door, where the heat comes up through the plate. Not too near the middle, or the handle will take the skin off your hand. When the lid begins to dance, put in the leaves: a fistful for two, and another one for luck.

Then leave it alone for as long as it takes to climb from the river to the second tunnel. Milk, if you must. Sugar is not a matter of taste up here; it is fuel.

Bacon goes on the shovel. Clean the shovel first. Clean it again afterwards, for the sake of the next driver, and of your friendship.', '-11 days'),
('Notes from a request stop', 'There is a platform for one coach, a lamp, a bench and a sign: hold out your hand and the train will stop. I have lived beside it for six years and it still feels like magic each time. You lift an arm, and three hundred tonnes slow down for you.

Some things that I have seen from the bench. A heron that knows the 7.42. A bride with wellingtons under the dress. A boy of five who held out his hand only to see whether it was true, then hid behind his mother when it was.

The driver waved, waited for a moment as if that was in the timetable, and went on.', '-4 days'),
('Write something', 'This is the newest post, and it could be yours. Choose an account, press Write, and it is on the front page a moment later, for everybody: the list was kept until now, and is made anew when you publish.

You can change your own posts and remove them. You cannot change mine, and I cannot change yours, whoever asks and in whatever way.

The guestbook needs no account. Open it in two windows, sign it in one, and look at the other.', '-1 hours')
) where not exists (select 1 from posts);

insert into bylines (post_id, author_id, name)
select id, null, 'Mabel Finch' from posts where id not in (select post_id from bylines) and title in (
    'What a turnout does', 'The last signal box at Hallow Bridge', 'In praise of the slow train', 'A timetable is a promise',
    'How to make tea on a footplate', 'Notes from a request stop', 'Write something'
);

insert into guestbook (name, message, created_at)
select column1, column2, strftime('%Y-%m-%d %H:%M:%S', 'now', column3) from (values
('Edith', 'I never said "remember the way". I said "know the way". Otherwise, well done.', '-30 days'),
('A driver', 'Bacon first, tea second. You have it the wrong way round.', '-9 days'),
('Tomasz', 'I was that boy. Greetings from the other end of the line!', '-3 days')
) where not exists (select 1 from guestbook);
